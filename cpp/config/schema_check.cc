#include "config/schema_check.h"

#include <cmath>
#include <string>
#include <vector>

#include "base/nearest.h"

namespace hearth {
namespace {

using nlohmann::json;

bool HasType(const json& value, const std::string& type) {
  if (type == "null") return value.is_null();
  if (type == "boolean") return value.is_boolean();
  if (type == "string") return value.is_string();
  if (type == "array") return value.is_array();
  if (type == "object") return value.is_object();
  if (type == "number") return value.is_number();
  // JSON schema counts 3.0 among the integers.
  if (value.is_number_float()) return std::trunc(value.get<double>()) == value.get<double>();
  return value.is_number_integer();
}

std::vector<std::string> Types(const json& schema) {
  const json& type = schema.at("type");
  if (type.is_array()) return type.get<std::vector<std::string>>();
  return {type.get<std::string>()};
}

std::string TypeWord(const std::string& type) {
  if (type == "boolean") return "true or false";
  if (type == "integer") return "a whole number";
  if (type == "number") return "a number";
  if (type == "string") return "a text in quotes";
  if (type == "array") return "a list in [ ]";
  if (type == "object") return "an object in { }";
  return type;
}

std::string Bounds(const json& schema) {
  std::string bounds;
  if (schema.contains("minimum")) bounds += " of at least " + schema["minimum"].dump();
  if (schema.contains("exclusiveMinimum")) {
    bounds += " above " + schema["exclusiveMinimum"].dump();
  }
  if (schema.contains("maximum")) {
    bounds += (bounds.empty() ? " of" : " and") + std::string(" at most ") + schema["maximum"].dump();
  }
  return bounds;
}

// "a whole number of at least 0 and at most 100, or null".
std::string Expected(const json& schema) {
  std::string text;
  if (schema.contains("enum")) {
    for (const json& word : schema["enum"]) text += (text.empty() ? "one of " : ", ") + word.dump();
    return text;
  }
  for (const std::string& type : Types(schema)) {
    if (!text.empty()) text += ", or ";
    text += TypeWord(type);
    if (type == "integer" || type == "number") text += Bounds(schema);
    if (type == "string" && schema.contains("minLength")) text += " that is not empty";
  }
  return text;
}

std::string Shortened(const json& value) {
  constexpr std::size_t kLongest = 60;
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
  return text;
}

void AddFault(const json& schema, const json& value, const json::json_pointer& pointer,
              std::vector<ConfigFault>& faults) {
  const std::string found = Shortened(value);
  faults.push_back(
      {pointer.to_string(), found, "must be " + Expected(schema) + "; found " + found, ""});
}

bool IsInRange(const json& schema, const json& value) {
  if (value.is_string()) {
    return value.get_ref<const std::string&>().size() >= schema.value("minLength", std::size_t{0});
  }
  if (!value.is_number()) return true;
  const double number = value.get<double>();
  return !(schema.contains("minimum") && number < schema["minimum"].get<double>()) &&
         !(schema.contains("exclusiveMinimum") &&
           number <= schema["exclusiveMinimum"].get<double>()) &&
         !(schema.contains("maximum") && number > schema["maximum"].get<double>());
}

void AddUnknownKey(const json& properties, const std::string& name,
                   const json::json_pointer& pointer, std::vector<ConfigFault>& faults) {
  std::vector<std::string> known;
  for (const auto& [key, unused] : properties.items()) known.push_back(key);
  const std::string nearest = NearestWord(name, known);
  std::string message = "there is no such key";
  if (!nearest.empty()) {
    message += "; did you mean \"" + nearest + "\"?";
  } else {
    message += "; known here:";
    for (const std::string& key : known) message += " " + key;
  }
  faults.push_back({(pointer / name).to_string(), Shortened(name), message, nearest});
}

void CheckMembers(const json& schema, const json& value, const json::json_pointer& pointer,
                  std::vector<ConfigFault>& faults) {
  const json& properties = schema.at("properties");
  for (const auto& [name, member] : value.items()) {
    if (properties.contains(name)) {
      CheckAgainstSchema(properties[name], member, pointer / name, faults);
    } else {
      AddUnknownKey(properties, name, pointer, faults);
    }
  }
}

}  // namespace

void CheckAgainstSchema(const json& schema, const json& value, const json::json_pointer& pointer,
                        std::vector<ConfigFault>& faults) {
  bool typed = false;
  for (const std::string& type : Types(schema)) typed = typed || HasType(value, type);
  bool listed = !schema.contains("enum");
  if (!listed) {
    for (const json& word : schema["enum"]) listed = listed || word == value;
  }
  if (!typed || !listed || !IsInRange(schema, value)) {
    AddFault(schema, value, pointer, faults);
    return;
  }
  if (value.is_object()) CheckMembers(schema, value, pointer, faults);
  if (value.is_array() && schema.contains("items")) {
    for (std::size_t i = 0; i < value.size(); ++i) {
      CheckAgainstSchema(schema["items"], value[i], pointer / i, faults);
    }
  }
}

json WithDefaults(const json& schema, const json& value) {
  json whole = json::object();
  for (const auto& [name, property] : schema.at("properties").items()) {
    const bool given = value.contains(name);
    if (property.at("type") == "object") {
      whole[name] = WithDefaults(property, given ? value[name] : json::object());
    } else {
      whole[name] = given ? value[name] : property.at("default");
    }
  }
  return whole;
}

}  // namespace hearth
