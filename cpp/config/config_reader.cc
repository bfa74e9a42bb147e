#include "config/config_reader.h"

#include <nlohmann/json.hpp>

#include "config/config_json.h"
#include "config/schema_check.h"
#include "config/strict_json.h"

namespace hearth {
namespace {

using nlohmann::json;

const json& Schema() {
  static const json schema = json::parse(ConfigSchema());
  return schema;
}

// What no single key can tell.
void CheckTogether(const Config& config, std::vector<ConfigFault>& faults) {
  if (config.unload.policy == "idle" && !config.unload.idle_seconds) {
    faults.push_back({"/unload/idle_seconds", "null",
                      "the policy \"idle\" needs it: after how many seconds without use a model may "
                      "be evicted, e.g. 600",
                      ""});
  }
}

}  // namespace

ConfigResult ParseConfig(std::string_view text) {
  ConfigResult result;
  const json value = ParseStrictJson(text, result.faults);
  if (!result.faults.empty() && value.is_null()) return result;
  CheckAgainstSchema(Schema(), value, json::json_pointer(), result.faults);
  if (!result.faults.empty()) return result;
  Config config = ConfigFromJson(WithDefaults(Schema(), value));
  CheckTogether(config, result.faults);
  if (result.faults.empty()) result.config = std::move(config);
  return result;
}

}  // namespace hearth
