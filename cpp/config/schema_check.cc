#include "config/schema_check.h"

#include <cmath>
#include <string>
#include <vector>

#include "base/nearest.h"
#include "config/strict_json.h"

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
    bounds +=
        (bounds.empty() ? " of" : " and") + std::string(" at most ") + schema["maximum"].dump();
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

void AddFault(const json& schema, const json& value, const json::json_pointer& pointer,
              std::vector<ConfigFault>& faults) {
  const std::string found = Shortened(value);
  std::string nearest;
  if (value.is_string() && schema.contains("enum")) {
    nearest = NearestWord(value.get_ref<const std::string&>(),
                          schema["enum"].get<std::vector<std::string>>());
  }
  std::string message = "must be " + Expected(schema) + "; found " + found;
  if (!nearest.empty()) message += "; did you mean \"" + nearest + "\"?";
  faults.push_back({pointer.to_string(), found, message, nearest});
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

std::vector<std::string> Names(const json& properties) {
  std::vector<std::string> names;
  for (const auto& [name, unused] : properties.items()) names.push_back(name);
  return names;
}

// "/unload/policy" for a "policy" that stands in the wrong object; empty: there is no such key.
std::string PlaceElsewhere(const json& properties, const std::string& name) {
  for (const auto& [section, schema] : properties.items()) {
    if (section == name) return "/" + name;
    if (schema.contains("properties") && schema["properties"].contains(name)) {
      return "/" + section + "/" + name;
    }
  }
  return {};
}

class SchemaCheck {
 public:
  SchemaCheck(const json& root, std::vector<ConfigFault>& faults) : root_(root), faults_(faults) {}
  void Check(const json& schema, const json& value, const json::json_pointer& pointer);

 private:
  void CheckMembers(const json& schema, const json& value, const json::json_pointer& pointer);
  void AddUnknownKey(const json& properties, const std::string& name, const json& member,
                     const json::json_pointer& pointer);

  const json& root_;
  std::vector<ConfigFault>& faults_;
};

void SchemaCheck::AddUnknownKey(const json& properties, const std::string& name, const json& member,
                                const json::json_pointer& pointer) {
  const std::vector<std::string> known = Names(properties);
  const std::string place = PlaceElsewhere(root_.at("properties"), name);
  const std::string nearest = place.empty() ? NearestWord(name, known) : std::string();
  std::string message = "there is no such key";
  if (!place.empty()) {
    message += " here; it belongs at " + place;
  } else if (!nearest.empty()) {
    message += "; did you mean \"" + nearest + "\"?";
  } else {
    message += "; known here:";
    for (const std::string& key : known) message += " " + key;
  }
  faults_.push_back({(pointer / name).to_string(), Shortened(member), message, nearest});
}

void SchemaCheck::CheckMembers(const json& schema, const json& value,
                               const json::json_pointer& pointer) {
  const json& properties = schema.at("properties");
  for (const auto& [name, member] : value.items()) {
    if (faults_.size() >= kMostFaults) return;
    if (properties.contains(name)) {
      Check(properties[name], member, pointer / name);
    } else {
      AddUnknownKey(properties, name, member, pointer);
    }
  }
}

void SchemaCheck::Check(const json& schema, const json& value, const json::json_pointer& pointer) {
  bool typed = false;
  for (const std::string& type : Types(schema)) typed = typed || HasType(value, type);
  bool listed = !schema.contains("enum");
  if (!listed) {
    for (const json& word : schema["enum"]) listed = listed || word == value;
  }
  if (!typed || !listed || !IsInRange(schema, value)) {
    AddFault(schema, value, pointer, faults_);
    return;
  }
  if (value.is_object()) CheckMembers(schema, value, pointer);
  if (value.is_array() && schema.contains("items")) {
    for (std::size_t i = 0; i < value.size() && faults_.size() < kMostFaults; ++i) {
      Check(schema["items"], value[i], pointer / i);
    }
  }
}

}  // namespace

void CheckAgainstSchema(const json& schema, const json& value, std::vector<ConfigFault>& faults) {
  SchemaCheck(schema, faults).Check(schema, value, json::json_pointer());
}

std::vector<std::string> InertKeys(const json& schema, const json& whole) {
  std::vector<std::string> inert;
  for (const auto& [name, property] : schema.at("properties").items()) {
    const json::json_pointer pointer = json::json_pointer() / name;
    if (property.at("type") == "object") {
      for (const std::string& below : InertKeys(property, whole.at(name))) {
        inert.push_back(pointer.to_string() + below);
      }
    } else if (!property.value("x-acts", true) && whole.at(name) != property.at("default")) {
      inert.push_back(pointer.to_string());
    }
  }
  return inert;
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
