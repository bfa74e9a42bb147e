#ifndef HEARTH_CONFIG_SCHEMA_CHECK_H_
#define HEARTH_CONFIG_SCHEMA_CHECK_H_

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "config/config_reader.h"

namespace hearth {

// Holds a value against a JSON schema of the words that config/schema.json uses: type, enum,
// minimum, exclusiveMinimum, maximum, minLength, items, properties, and additionalProperties, which
// it takes for false everywhere. Adds every fault, up to about kMostFaults.
void CheckAgainstSchema(const nlohmann::json& schema, const nlohmann::json& value,
                        std::vector<ConfigFault>& faults);

// JSON pointers of the keys that the schema marks as not acted on ("x-acts": false) and that
// `whole` sets to something else than their default. REQUIRES: `whole` fits the schema and has
// every key.
std::vector<std::string> InertKeys(const nlohmann::json& schema, const nlohmann::json& whole);

// The value with every missing key set to the schema's default.
nlohmann::json WithDefaults(const nlohmann::json& schema, const nlohmann::json& value);

}  // namespace hearth

#endif  // HEARTH_CONFIG_SCHEMA_CHECK_H_
