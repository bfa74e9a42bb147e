// Texts that are JSON, and no config.
#include <gtest/gtest.h>

#include <string>

#include "config/fault_table.h"

namespace hearth {
namespace {

class BadConfigTest : public testing::TestWithParam<BadConfig> {};

TEST_P(BadConfigTest, ItsOneFaultSaysWhereAndWhatWouldBeRight) { ExpectItsOneFault(GetParam()); }

const BadConfig kWrongTypes[] = {
    {"TextForFlag", R"({"keep_model_in_memory": "true"})", "/keep_model_in_memory",
     "must be true or false; found \"true\""},
    {"NumberForFlag", R"({"transparent": 1})", "/transparent", "must be true or false; found 1"},
    {"NullForFlag", R"({"unload_on_exit": null})", "/unload_on_exit", "must be true or false"},
    {"FlagForCount", R"({"max_cached_models": true})", "/max_cached_models",
     "must be a whole number of at least 0 and at most 10000, or null; found true"},
    {"TextForCount", R"({"max_cached_models": "3"})", "/max_cached_models",
     "must be a whole number of at least 0 and at most 10000, or null; found \"3\""},
    {"NegativeFraction", R"({"max_cached_models": -1.9})", "/max_cached_models",
     "must be a whole number of at least 0"},
    {"FractionForCount", R"({"max_cached_models": 2.5})", "/max_cached_models", "a whole number"},
    {"TinyFraction", R"({"max_cached_models": 3.0000000001})", "/max_cached_models",
     "a whole number"},
    {"ListForCount", R"({"max_cached_models": [3]})", "/max_cached_models", "found [3]"},
    {"ObjectForCount", R"({"max_cached_models": {}})", "/max_cached_models", "found {}"},
    {"TextForBudget", R"({"budget": {"ram_gib": "64GB"}})", "/budget/ram_gib",
     "must be a number of at least 0 and at most 1048576, or null; found \"64GB\""},
    {"FlagForBudget", R"({"budget": {"vram_gib": false}})", "/budget/vram_gib", "a number"},
    {"NumberForSection", R"({"budget": 64})", "/budget", "must be an object in { }; found 64"},
    {"NullForSection", R"({"unload": null})", "/unload", "must be an object in { }"},
    {"ListForSection", R"({"log": ["info"]})", "/log", "must be an object in { }"},
    {"TextForList", R"({"prewarm": {"models": "a.safetensors"}})", "/prewarm/models",
     "must be a list in [ ]"},
    {"NumberInList", R"({"prewarm": {"models": ["a", 7]}})", "/prewarm/models/1",
     "must be a text in quotes that is not empty; found 7"},
    {"EmptyTextInList", R"({"api": {"allowed_origins": [""]}})", "/api/allowed_origins/0",
     "that is not empty"},
    {"EmptyTokenName", R"({"api": {"token_env": ""}})", "/api/token_env", "that is not empty"},
    {"NumberForText", R"({"api": {"token_env": 5}})", "/api/token_env",
     "must be a text in quotes that is not empty, or null"},
    {"ListForWhole", "[]", "", "must be an object in { }; found []"},
    {"TextForWhole", R"("lru")", "", "must be an object in { }"},
    {"NullForWhole", "null", "", "must be an object in { }; found null"},
    {"NumberForWhole", "3", "", "must be an object in { }"},
};
INSTANTIATE_TEST_SUITE_P(WrongType, BadConfigTest, testing::ValuesIn(kWrongTypes), NameOf);

const BadConfig kOutOfRange[] = {
    {"NegativeCount", R"({"max_cached_models": -1})", "/max_cached_models", "at least 0"},
    {"TooManyModels", R"({"max_cached_models": 10001})", "/max_cached_models", "at most 10000"},
    {"BeyondSixtyFourBits", R"({"max_cached_models": 18446744073709551616})", "/max_cached_models",
     "at most 10000"},
    {"HugeWholeFloat", R"({"max_cached_models": 1e300})", "/max_cached_models", "at most 10000"},
    {"NegativeBudget", R"({"budget": {"ram_gib": -0.5}})", "/budget/ram_gib", "at least 0"},
    {"BytesForGib", R"({"budget": {"ram_gib": 68719476736}})", "/budget/ram_gib",
     "at most 1048576"},
    {"NoSeconds", R"({"unload": {"idle_seconds": 0}})", "/unload/idle_seconds",
     "must be a number above 0 and at most 31536000, or null; found 0"},
    {"NegativeSeconds", R"({"unload": {"idle_seconds": -1}})", "/unload/idle_seconds", "above 0"},
    {"MoreThanAYear", R"({"unload": {"idle_seconds": 31536001}})", "/unload/idle_seconds",
     "at most 31536000"},
    {"NoneMayWait", R"({"queue": {"max_pending": 0}})", "/queue/max_pending", "at least 1"},
    {"PrefetchTooDeep", R"({"prefetch": {"queue_depth": 101}})", "/prefetch/queue_depth",
     "at most 100"},
};
INSTANTIATE_TEST_SUITE_P(OutOfRange, BadConfigTest, testing::ValuesIn(kOutOfRange), NameOf);

const BadConfig kWrongWords[] = {
    {"MistypedPolicy", R"({"unload": {"policy": "lur"}})", "/unload/policy",
     "one of \"lru\", \"lfu\", \"idle\", \"noeviction\"; found \"lur\"; did you mean \"lru\"",
     "lru"},
    {"PolicyInCapitals", R"({"unload": {"policy": "LRU"}})", "/unload/policy",
     "did you mean \"lru\"", "lru"},
    {"UnknownPolicy", R"({"unload": {"policy": "random"}})", "/unload/policy", "one of \"lru\""},
    {"MistypedNumbers", R"({"engine": {"numbers": "pairty"}})", "/engine/numbers",
     "one of \"fast\", \"parity\"; found \"pairty\"; did you mean \"parity\"", "parity"},
    {"NullPolicy", R"({"unload": {"policy": null}})", "/unload/policy", "one of \"lru\""},
    {"UnknownLevel", R"({"log": {"level": "warn"}})", "/log/level", "\"warning\""},
    {"UnknownPrecision", R"({"precision": {"vae": "fp64"}})", "/precision/vae",
     "one of \"as_stock\", \"bf16\", \"fp16\""},
    {"IdleWithoutSeconds", R"({"unload": {"policy": "idle"}})", "/unload/idle_seconds",
     "the policy \"idle\" needs it"},
    {"IdleWithNull", R"({"unload": {"policy": "idle", "idle_seconds": null}})",
     "/unload/idle_seconds", "e.g. 600"},
    {"IdleWithText", R"({"unload": {"policy": "idle", "idle_seconds": "600"}})",
     "/unload/idle_seconds", "must be a number"},
};
INSTANTIATE_TEST_SUITE_P(WrongWord, BadConfigTest, testing::ValuesIn(kWrongWords), NameOf);

const BadConfig kUnknownKeys[] = {
    {"SwappedLetters", R"({"max_cached_modles": 3})", "/max_cached_modles",
     "did you mean \"max_cached_models\"?", "max_cached_models"},
    {"MissingPart", R"({"max_modles": 3})", "/max_modles", "did you mean \"max_cached_models\"?",
     "max_cached_models"},
    {"CapitalLetters", R"({"Transparent": true})", "/Transparent", "did you mean \"transparent\"?",
     "transparent"},
    {"MissingUnit", R"({"budget": {"ram": 64}})", "/budget/ram", "did you mean \"ram_gib\"?",
     "ram_gib"},
    {"NothingNear", R"({"log": {"colour": true}})", "/log/colour",
     "there is no such key; known here: level trace_loads"},
    {"KeyOfASectionOnTop", R"({"policy": "lru"})", "/policy", "it belongs at /unload/policy"},
    {"KeyOfAnotherSection", R"({"unload": {"ram_gib": 4}})", "/unload/ram_gib",
     "it belongs at /budget/ram_gib"},
    {"KeyOfTheTopInASection", R"({"unload": {"unload_on_exit": true}})", "/unload/unload_on_exit",
     "it belongs at /unload_on_exit"},
    {"EmptyKey", R"({"": 1})", "/", "there is no such key"},
    {"PointerIsEscaped", R"({"a/b~c": 1})", "/a~1b~0c", "there is no such key"},
    {"CommentAsKey", R"({"_comment": "mine"})", "/_comment", "there is no such key"},
    {"SchemaReference", R"({"$schema": "schema.json"})", "/$schema", "there is no such key"},
};
INSTANTIATE_TEST_SUITE_P(UnknownKey, BadConfigTest, testing::ValuesIn(kUnknownKeys), NameOf);

const BadConfig kTwice[] = {
    {"OnTop", R"({"transparent": true, "transparent": true})", "/transparent",
     "given twice; keep one"},
    {"InASection", R"({"log": {"level": "info", "level": "debug"}})", "/log/level", "given twice"},
    {"ASection", R"({"log": {}, "budget": {}, "log": {}})", "/log", "given twice"},
    {"WrittenDifferently", R"({"log": {}, "l\u006fg": {}})", "/log", "given twice"},
};
INSTANTIATE_TEST_SUITE_P(Twice, BadConfigTest, testing::ValuesIn(kTwice), NameOf);

}  // namespace
}  // namespace hearth
