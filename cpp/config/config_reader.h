#ifndef HEARTH_CONFIG_CONFIG_READER_H_
#define HEARTH_CONFIG_CONFIG_READER_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"

namespace hearth {

// One thing that is wrong with a config text.
struct ConfigFault {
  std::string pointer;  // JSON pointer of the place; empty: the whole text
  std::string value;    // what was found there, as JSON, shortened
  std::string message;  // what is wrong and what would be right
  std::string nearest;  // the key or word that was probably meant; empty: none is near
};

struct ConfigResult {
  Config config;  // the defaults, where there are faults
  std::vector<ConfigFault> faults;
  std::vector<std::string> inert;  // pointers of keys that ask for what this version does not do
};

// A file with more faults than that is no config; naming them all would take minutes and a log.
inline constexpr std::size_t kMostFaults = 100;

// Reads a config text strictly: everything that config/schema.json does not allow is a fault, and
// all faults are found in one go (kMostFaults and a last one that says so, where there are more). A
// key that is missing has its default. Never throws for what is in `text`; pure.
ConfigResult ParseConfig(std::string_view text);

// The config as JSON text, every key present.
std::string ConfigToJson(const Config& config);

// The schema this library was built with, as JSON text.
std::string_view ConfigSchema();

}  // namespace hearth

#endif  // HEARTH_CONFIG_CONFIG_READER_H_
