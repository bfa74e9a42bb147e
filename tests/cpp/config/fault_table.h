#ifndef HEARTH_TESTS_CONFIG_FAULT_TABLE_H_
#define HEARTH_TESTS_CONFIG_FAULT_TABLE_H_

#include <gtest/gtest.h>

#include <ostream>
#include <string>

#include "config/config_reader.h"

namespace hearth {

// A config text with one fault, where it is, and words of the message that say what would be right.
struct BadConfig {
  std::string name;
  std::string text;
  std::string pointer;
  std::string says;
  std::string nearest = "";
};

inline void PrintTo(const BadConfig& bad, std::ostream* out) { *out << bad.text.substr(0, 100); }

inline std::string NameOf(const testing::TestParamInfo<BadConfig>& info) { return info.param.name; }

inline void ExpectItsOneFault(const BadConfig& bad) {
  const ConfigResult result = ParseConfig(bad.text);
  ASSERT_EQ(result.faults.size(), 1U);
  const ConfigFault& fault = result.faults[0];
  EXPECT_EQ(fault.pointer, bad.pointer);
  EXPECT_NE(fault.message.find(bad.says), std::string::npos) << fault.message;
  EXPECT_EQ(fault.nearest, bad.nearest);
  EXPECT_EQ(ConfigToJson(result.config), ConfigToJson(Config()));
}

}  // namespace hearth

#endif  // HEARTH_TESTS_CONFIG_FAULT_TABLE_H_
