#include "base/nearest.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace hearth {
namespace {

const std::vector<std::string> kKeys = {"keep_model_in_memory",
                                        "max_cached_models",
                                        "prewarm",
                                        "prefetch",
                                        "unload",
                                        "ram_gib",
                                        "vram_gib",
                                        "log"};

TEST(NearestWord, ALetterDroppedAddedChangedOrSwappedIsForgiven) {
  EXPECT_EQ(NearestWord("unlod", kKeys), "unload");
  EXPECT_EQ(NearestWord("unloadd", kKeys), "unload");
  EXPECT_EQ(NearestWord("unlosd", kKeys), "unload");
  EXPECT_EQ(NearestWord("unlaod", kKeys), "unload");
  EXPECT_EQ(NearestWord("lgo", kKeys), "log");
}

TEST(NearestWord, TheRightWordItselfIsNearest) { EXPECT_EQ(NearestWord("log", kKeys), "log"); }

TEST(NearestWord, AMistypedPartOfANameFindsTheWholeName) {
  EXPECT_EQ(NearestWord("max_modles", kKeys), "max_cached_models");
  EXPECT_EQ(NearestWord("max_models", kKeys), "max_cached_models");
  EXPECT_EQ(NearestWord("models", kKeys), "max_cached_models");
}

TEST(NearestWord, AShortPartMustBeRight) {
  EXPECT_EQ(NearestWord("ram", kKeys), "ram_gib");
  EXPECT_EQ(NearestWord("vram", kKeys), "vram_gib");
  EXPECT_EQ(NearestWord("mix_models", kKeys), "");
}

TEST(NearestWord, CapitalsDoNotCount) {
  EXPECT_EQ(NearestWord("MAX_CACHED_MODELS", kKeys), "max_cached_models");
  const std::vector<std::string> models = {"SDXL.safetensors", "Flux.safetensors"};
  EXPECT_EQ(NearestWord("flux.safetensor", models), "Flux.safetensors");
}

TEST(NearestWord, NothingNearIsNoWord) {
  EXPECT_EQ(NearestWord("temperature", kKeys), "");
  EXPECT_EQ(NearestWord("", kKeys), "");
  EXPECT_EQ(NearestWord("__", kKeys), "");
  EXPECT_EQ(NearestWord("log", {}), "");
  EXPECT_EQ(NearestWord(std::string(1000, 'x'), kKeys), "");
}

TEST(NearestWord, TheShortestOfEqualsWinsThenTheFirst) {
  const std::vector<std::string> keys = {"keep_free_ram_gib", "ram_gib"};
  EXPECT_EQ(NearestWord("ram", keys), "ram_gib");
  const std::vector<std::string> words = {"cat", "bat"};
  EXPECT_EQ(NearestWord("rat", words), "cat");
}

}  // namespace
}  // namespace hearth
