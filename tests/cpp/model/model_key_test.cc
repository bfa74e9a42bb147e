#include "model/model_key.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <unordered_set>

namespace hearth {
namespace {

const ModelKey kKey{ModelKind::kVae, "VAELoader", "ae.safetensors", "{}", "inode 1"};

TEST(ModelKeyTest, EveryKindHasAWordThatLeadsBackToIt) {
  for (const ModelKind kind : {ModelKind::kCheckpoint, ModelKind::kDiffusionModel,
                               ModelKind::kTextEncoder, ModelKind::kVae}) {
    EXPECT_EQ(ModelKindFromString(ToString(kind)), kind);
  }
}

TEST(ModelKeyTest, AnUnknownKindIsNamedWithTheKnownOnes) {
  try {
    ModelKindFromString("lora");
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("'lora'"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("text_encoder"), std::string::npos);
  }
}

TEST(ModelKeyTest, OnlyWhatIsSampledWithCountsAsAModel) {
  EXPECT_TRUE(CountsAsModel(ModelKind::kCheckpoint));
  EXPECT_TRUE(CountsAsModel(ModelKind::kDiffusionModel));
  EXPECT_FALSE(CountsAsModel(ModelKind::kTextEncoder));
  EXPECT_FALSE(CountsAsModel(ModelKind::kVae));
}

TEST(ModelKeyTest, AnotherFileOfTheSameNameIsTheSameSlotButNotTheSameModel) {
  ModelKey changed = kKey;
  changed.identity = "inode 2";
  EXPECT_NE(changed, kKey);
  EXPECT_TRUE(changed.SameSlot(kKey));
  EXPECT_EQ(SlotHash()(changed), SlotHash()(kKey));
  EXPECT_NE(ModelKeyHash()(changed), ModelKeyHash()(kKey));
}

TEST(ModelKeyTest, EveryOtherFieldMakesAnotherSlot) {
  std::unordered_set<ModelKey, SlotHash, SlotEqual> slots = {kKey};
  ModelKey key = kKey;
  key.kind = ModelKind::kCheckpoint;
  EXPECT_TRUE(slots.insert(key).second);
  key = kKey;
  key.loader = "Other";
  EXPECT_TRUE(slots.insert(key).second);
  key = kKey;
  key.name = "other.safetensors";
  EXPECT_TRUE(slots.insert(key).second);
  key = kKey;
  key.options = "{\"device\":\"cpu\"}";
  EXPECT_TRUE(slots.insert(key).second);
  EXPECT_FALSE(slots.insert(kKey).second);
}

TEST(ModelKeyTest, TextThatMovesFromOneFieldToTheNextIsAnotherKey) {
  ModelKey key = kKey;
  key.loader = kKey.name;
  key.name = kKey.loader;
  EXPECT_NE(SlotHash()(key), SlotHash()(kKey));
}

}  // namespace
}  // namespace hearth
