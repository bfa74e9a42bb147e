#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "config/config_reader.h"

namespace hearth {
namespace {

using nlohmann::json;

Config Good(std::string_view text) {
  ConfigResult result = ParseConfig(text);
  for (const ConfigFault& fault : result.faults) {
    ADD_FAILURE() << fault.pointer << ": " << fault.message;
  }
  return std::move(result.config);
}

std::set<std::string> Pointers(std::string_view text) {
  std::set<std::string> pointers;
  for (const ConfigFault& fault : ParseConfig(text).faults) pointers.insert(fault.pointer);
  return pointers;
}

json DefaultsOf(const json& schema) {
  json whole = json::object();
  for (const auto& [name, property] : schema.at("properties").items()) {
    whole[name] = property.contains("properties") ? DefaultsOf(property) : property.at("default");
  }
  return whole;
}

TEST(ConfigDefaults, OfTheValueAreThoseOfTheSchema) {
  EXPECT_EQ(json::parse(ConfigToJson(Config())), DefaultsOf(json::parse(ConfigSchema())));
}

TEST(ConfigDefaults, OfTheShippedFileAreThoseOfTheSchema) {
  std::ifstream file(HEARTH_SHIPPED_CONFIG);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  EXPECT_EQ(json::parse(text), DefaultsOf(json::parse(ConfigSchema())));
  EXPECT_EQ(ConfigToJson(Good(text)), ConfigToJson(Config()));
}

TEST(ParseConfigTest, AnEmptyObjectIsTheDefaults) {
  EXPECT_EQ(ConfigToJson(Good("{}")), ConfigToJson(Config()));
  EXPECT_EQ(ConfigToJson(Good(" \r\n{ \"budget\": {} }\n")), ConfigToJson(Config()));
}

TEST(ParseConfigTest, AMissingKeyHasItsDefaultAndAGivenOneItsValue) {
  const Config config = Good(R"({"max_cached_models": 7, "unload": {"idle_seconds": 0.5}})");
  EXPECT_EQ(config.max_cached_models, 7U);
  EXPECT_EQ(config.unload.idle_seconds, 0.5);
  EXPECT_EQ(config.unload.policy, "lru");
  EXPECT_TRUE(config.keep_model_in_memory);
}

TEST(ParseConfigTest, NullTakesALimitAway) {
  EXPECT_EQ(Good(R"({"max_cached_models": null})").max_cached_models, std::nullopt);
}

TEST(ParseConfigTest, ABoundItselfIsInside) {
  EXPECT_EQ(Good(R"({"max_cached_models": 0})").max_cached_models, 0U);
  EXPECT_EQ(Good(R"({"max_cached_models": 10000})").max_cached_models, 10000U);
  EXPECT_EQ(Good(R"({"budget": {"ram_gib": 0}})").budget.ram_gib, 0.0);
}

TEST(ParseConfigTest, AWholeNumberMayBeWrittenAsJsonSchemaAllows) {
  EXPECT_EQ(Good(R"({"max_cached_models": 3.0})").max_cached_models, 3U);
  EXPECT_EQ(Good(R"({"max_cached_models": 1e2})").max_cached_models, 100U);
  EXPECT_EQ(Good(R"({"max_cached_models": -0})").max_cached_models, 0U);
  EXPECT_EQ(Good(R"({"max_cached_models": -0.0})").max_cached_models, 0U);
}

TEST(ParseConfigTest, TheIdlePolicyIsGoodWithItsSeconds) {
  const Config config = Good(R"({"unload": {"policy": "idle", "idle_seconds": 600}})");
  EXPECT_EQ(config.unload.policy, "idle");
  EXPECT_EQ(config.unload.idle_seconds, 600);
}

TEST(ParseConfigTest, TextsAreKeptAsWritten) {
  const Config config = Good(R"({"prewarm": {"models": ["\u00e4 \"x\".safetensors", "模型"]}})");
  EXPECT_EQ(config.prewarm.models, (std::vector<std::string>{"ä \"x\".safetensors", "模型"}));
}

TEST(ParseConfigTest, AllFaultsOfAFileAreToldAtOnce) {
  EXPECT_EQ(Pointers(R"({
    "max_cached_modles": 3,
    "keep_model_in_memory": "yes",
    "budget": {"ram_gib": -1, "gpu": 8},
    "prewarm": {"models": [1, "a", ""]},
    "unload": {"policy": "idle"},
    "log": {"level": "info", "level": "debug"}
  })"),
            (std::set<std::string>{"/max_cached_modles", "/keep_model_in_memory", "/budget/ram_gib",
                                   "/budget/gpu", "/prewarm/models/0", "/prewarm/models/2",
                                   "/unload/idle_seconds", "/log/level"}));
}

TEST(ParseConfigTest, AKeyGivenTwiceIsToldBesideABrokenEnd) {
  EXPECT_EQ(Pointers(R"({"transparent": true, "transparent": true, )"),
            (std::set<std::string>{"/transparent", ""}));
}

TEST(ParseConfigTest, OneFaultAndEveryDefaultStays) {
  const ConfigResult result = ParseConfig(R"({"max_cached_models": 9, "transparent": 0})");
  EXPECT_EQ(result.faults.size(), 1U);
  EXPECT_EQ(ConfigToJson(result.config), ConfigToJson(Config()));
}

TEST(ParseConfigTest, ALongValueIsCutInTheFault) {
  const ConfigResult result =
      ParseConfig("{\"unload\": {\"policy\": \"" + std::string(5000, 'x') + "\"}}");
  ASSERT_EQ(result.faults.size(), 1U);
  EXPECT_LT(result.faults[0].value.size(), 100U);
  EXPECT_LT(result.faults[0].message.size(), 300U);
}

TEST(ParseConfigTest, AFileOfFaultsIsToldInPartAndSaysSo) {
  std::string text = "{\"x\": 0";
  for (int i = 0; i < 20000; ++i) text += ", \"key_" + std::to_string(i) + "\": 0";
  const ConfigResult result = ParseConfig(text + "}");
  ASSERT_EQ(result.faults.size(), kMostFaults + 1);
  EXPECT_NE(result.faults.back().message.find("may be more"), std::string::npos);
}

TEST(ParseConfigTest, KeysGivenTwiceAreToldInPartToo) {
  std::string text = "{\"log\": {}";
  for (int i = 0; i < 20000; ++i) text += ", \"log\": {}";
  EXPECT_EQ(ParseConfig(text + "}").faults.size(), kMostFaults + 1);
}

// Any key of the schema that does not act would do; this is the longest-lived of them.
TEST(ParseConfigTest, AKeyThatAsksForWhatIsNotDoneYetIsNamed) {
  EXPECT_EQ(ParseConfig(R"({"queue": {"max_pending": 4}})").inert,
            std::vector<std::string>{"/queue/max_pending"});
}

TEST(ParseConfigTest, AKeyAtItsDefaultAsksForNothing) {
  EXPECT_TRUE(
      ParseConfig(R"({"queue": {"max_pending": null}, "unload_on_exit": true})").inert.empty());
}

TEST(ConfigToJsonTest, WhatIsWrittenIsReadAgain) {
  Config config;
  config.max_cached_models = std::nullopt;
  config.budget.ram_gib = 0.1;
  config.unload = {"idle", 1.5};
  config.prewarm.models = {"a/b.safetensors", "\"quoted\"\n"};
  config.api.token_env = "TOKEN";
  config.log.level = "error";
  const std::string text = ConfigToJson(config);
  EXPECT_EQ(ConfigToJson(Good(text)), text);
}

}  // namespace
}  // namespace hearth
