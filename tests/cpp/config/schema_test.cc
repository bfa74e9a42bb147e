// The interpreter knows a part of JSON schema; these hold the schema to that part.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "config/config_reader.h"

namespace hearth {
namespace {

using nlohmann::json;

// What the interpreter acts on, and what is for people only.
const std::set<std::string> kRead = {
    "type",      "enum",  "minimum",    "exclusiveMinimum",     "maximum",
    "minLength", "items", "properties", "additionalProperties", "default"};
const std::set<std::string> kForPeople = {"$schema", "title", "description", "x-unit", "x-acts"};

void ExpectKnownWords(const json& schema, const std::string& place) {
  for (const auto& [word, value] : schema.items()) {
    const bool is_rule_of_policy = place == "/unload" && (word == "if" || word == "then");
    EXPECT_TRUE(kRead.contains(word) || kForPeople.contains(word) || is_rule_of_policy)
        << place << ": the reader would pass over \"" << word << "\"";
  }
  if (schema.contains("items")) ExpectKnownWords(schema["items"], place + "/items");
  if (!schema.contains("properties")) return;
  EXPECT_EQ(schema.value("additionalProperties", true), false) << place;
  for (const auto& [name, property] : schema["properties"].items()) {
    ExpectKnownWords(property, place + "/" + name);
  }
}

// One text per leaf, with the leaf at a value that is none of its own.
void ExpectEveryLeafIsRead(const json& schema, const json::json_pointer& pointer) {
  for (const auto& [name, property] : schema["properties"].items()) {
    if (property.contains("properties")) {
      ExpectEveryLeafIsRead(property, pointer / name);
      continue;
    }
    json text = json::object();
    text[pointer / name] = {{"not", "this"}};
    const ConfigResult result = ParseConfig(text.dump());
    ASSERT_EQ(result.faults.size(), 1U);
    EXPECT_EQ(result.faults[0].pointer, (pointer / name).to_string());
  }
}

TEST(SchemaTest, UsesOnlyWordsThatTheReaderKnows) {
  ExpectKnownWords(json::parse(ConfigSchema()), "");
}

TEST(SchemaTest, EveryLeafIsHeldToItsType) {
  ExpectEveryLeafIsRead(json::parse(ConfigSchema()), json::json_pointer());
}

}  // namespace
}  // namespace hearth
