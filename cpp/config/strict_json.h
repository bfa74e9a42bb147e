#ifndef HEARTH_CONFIG_STRICT_JSON_H_
#define HEARTH_CONFIG_STRICT_JSON_H_

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config_reader.h"

namespace hearth {

// Parses RFC 8259 JSON and nothing beyond it: no comments, no byte-order mark, no key twice, no
// NaN, nothing after the end. What is wrong is added to `faults`; there is no value when the text
// is none.
std::optional<nlohmann::json> ParseStrictJson(std::string_view text,
                                              std::vector<ConfigFault>& faults);

// A value as it is shown in a fault: JSON in ASCII, cut where it is long.
std::string Shortened(const nlohmann::json& value);

}  // namespace hearth

#endif  // HEARTH_CONFIG_STRICT_JSON_H_
