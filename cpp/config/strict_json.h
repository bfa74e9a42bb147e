#ifndef HEARTH_CONFIG_STRICT_JSON_H_
#define HEARTH_CONFIG_STRICT_JSON_H_

#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "config/config_reader.h"

namespace hearth {

// Parses RFC 8259 JSON and nothing beyond it: no comments, no byte-order mark, no key twice, no NaN,
// nothing after the end. What is wrong is added to `faults`; the value is null when the text is none.
nlohmann::json ParseStrictJson(std::string_view text, std::vector<ConfigFault>& faults);

}  // namespace hearth

#endif  // HEARTH_CONFIG_STRICT_JSON_H_
