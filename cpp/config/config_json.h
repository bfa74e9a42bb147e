#ifndef HEARTH_CONFIG_CONFIG_JSON_H_
#define HEARTH_CONFIG_CONFIG_JSON_H_

#include <nlohmann/json.hpp>

#include "config/config.h"

namespace hearth {

// REQUIRES: `json` fits the schema and has every key.
Config ConfigFromJson(const nlohmann::json& json);

}  // namespace hearth

#endif  // HEARTH_CONFIG_CONFIG_JSON_H_
