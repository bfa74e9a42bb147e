#include "config/config_reader.h"

#include <nlohmann/json.hpp>
#include <optional>

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

// What no single key can tell; the schema says it with if and then.
void CheckTogether(const json& value, std::vector<ConfigFault>& faults) {
  const auto found = value.find("unload");
  if (found == value.end() || !found->is_object()) return;
  if (found->value("policy", json()) != "idle") return;
  if (!found->value("idle_seconds", json()).is_null()) return;
  faults.push_back({"/unload/idle_seconds", "null",
                    "the policy \"idle\" needs it: after how many seconds without use a model may "
                    "be evicted, e.g. 600",
                    ""});
}

}  // namespace

ConfigResult ParseConfig(std::string_view text) {
  ConfigResult result;
  std::vector<ConfigFault>& faults = result.faults;
  const std::optional<json> value = ParseStrictJson(text, faults);
  if (!value) return result;
  CheckAgainstSchema(Schema(), *value, faults);
  if (value->is_object()) CheckTogether(*value, faults);
  if (faults.size() >= kMostFaults) {
    faults.resize(kMostFaults);
    faults.push_back({"", "", "there may be more faults than these; mend them first", ""});
  }
  if (!faults.empty()) return result;
  const json whole = WithDefaults(Schema(), *value);
  result.config = ConfigFromJson(whole);
  result.inert = InertKeys(Schema(), whole);
  return result;
}

}  // namespace hearth
