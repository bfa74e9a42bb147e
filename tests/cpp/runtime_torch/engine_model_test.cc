// The engine's models in a cache: whose use keeps them, what a changed or wrong file does, and the
// tiers they stand on. A toy text encoder in a real file stands for every kind.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "checkpoint/file_bytes.h"
#include "checkpoint/temp_folder.h"
#include "runtime_torch/engine_lease.h"

namespace hearth {
namespace {

using Shape = std::vector<int>;

// A text encoder of two layers, of which the first is read.
const std::vector<std::pair<std::string, Shape>> kEncoder{
    {"embed_tokens", {16, 8}},
    {"layers.0.self_attn.q_proj", {8, 8}},
    {"layers.0.self_attn.k_proj", {8, 8}},
    {"layers.0.self_attn.v_proj", {8, 8}},
    {"layers.0.self_attn.o_proj", {8, 8}},
    {"layers.0.mlp.gate_proj", {8, 8}},
    {"layers.0.mlp.up_proj", {8, 8}},
    {"layers.0.mlp.down_proj", {8, 8}},
    {"layers.0.self_attn.q_norm", {4}},
    {"layers.0.self_attn.k_norm", {4}},
    {"layers.0.input_layernorm", {8}},
    {"layers.0.post_attention_layernorm", {8}},
};

std::string EncoderBytes(char fill) {
  std::string header;
  std::size_t end = 0;
  for (const auto& [name, shape] : kEncoder) {
    std::string text;
    std::size_t bytes = 4;
    for (const int size : shape) {
      text += (text.empty() ? "" : ",") + std::to_string(size);
      bytes *= static_cast<std::size_t>(size);
    }
    const std::string offsets = "[" + std::to_string(end) + "," + std::to_string(end + bytes) + "]";
    header += (header.empty() ? "{" : ",") +
              Entry("model." + name + ".weight", "F32", "[" + text + "]", offsets);
    end += bytes;
  }
  header += "}";
  while (header.size() % 8 != 0) header += ' ';
  return LengthField(header.size()) + header + std::string(end, fill);
}

class EngineModelTest : public ::testing::Test {
 protected:
  EngineModelTest() { runtime.executor()->AdoptCurrentThread(); }
  ~EngineModelTest() override { runtime.Shutdown(true); }

  EngineRequest Request(const std::string& name) const {
    EngineRequest request;
    request.kind = ModelKind::kTextEncoder;
    request.loader = "CLIPLoader";
    request.name = name;
    request.wish.paths = {folder / name};
    return request;
  }
  EngineLease Acquire(const std::string& name) {
    return AcquireEngineModel(runtime, Request(name));
  }
  std::uint64_t Loads() const { return runtime.cache()->Stats().loads; }

  TempFolder folder;
  Runtime runtime;
};

TEST_F(EngineModelTest, AModelIsLoadedOnceHoweverOftenItIsAskedFor) {
  folder.Write("a", EncoderBytes('\1'));
  EXPECT_FALSE(Acquire("a").was_hit());
  const EngineLease again = Acquire("a");
  EXPECT_TRUE(again.was_hit());
  EXPECT_NE(again.text_encoder(), nullptr);
  EXPECT_EQ(again.transformer(), nullptr);
  EXPECT_EQ(Loads(), 1U);
}

TEST_F(EngineModelTest, APartKeepsItsModelInUseWhenTheLeaseIsGone) {
  folder.Write("a", EncoderBytes('\1'));
  std::shared_ptr<TextEncoder> part = Acquire("a").text_encoder();
  EXPECT_EQ(runtime.cache()->Stats().in_use, 1U);
  (void)runtime.cache()->Trim(1U << 30, 0, "a test");
  EXPECT_EQ(runtime.cache()->Stats().resident, 1U);
  part.reset();
  (void)runtime.cache()->Trim(1U << 30, 0, "a test");
  EXPECT_EQ(runtime.cache()->Stats().resident, 0U);
}

TEST_F(EngineModelTest, AReplacedFileIsLoadedAnew) {
  folder.Write("a", EncoderBytes('\1'));
  (void)Acquire("a");
  folder.Write("b", EncoderBytes('\2'));
  std::filesystem::rename(folder / "b", folder / "a");
  EXPECT_FALSE(Acquire("a").was_hit());
  EXPECT_EQ(runtime.cache()->Stats().resident, 1U);
}

TEST_F(EngineModelTest, ABadReplacementLeavesTheModelAlone) {
  folder.Write("a", EncoderBytes('\1'));
  (void)Acquire("a");
  folder.Write("b", "<html>");
  std::filesystem::rename(folder / "b", folder / "a");
  EXPECT_THROW((void)Acquire("a"), CheckpointCorrupt);
  EXPECT_EQ(runtime.cache()->Stats().resident, 1U);
}

TEST_F(EngineModelTest, AFileOfAnotherKindIsNamedAndNotKept) {
  folder.Write("a", EncoderBytes('\1'));
  EngineRequest request = Request("a");
  request.kind = ModelKind::kDiffusionModel;
  EXPECT_THROW((void)AcquireEngineModel(runtime, request), CheckpointMismatch);
  EXPECT_EQ(runtime.cache()->Stats().resident, 0U);
}

TEST_F(EngineModelTest, AMissingFileIsNotFound) {
  EXPECT_THROW((void)Acquire("nothing"), CheckpointNotFound);
}

TEST_F(EngineModelTest, AnotherTypeOfComputationIsAnotherModel) {
  folder.Write("a", EncoderBytes('\1'));
  (void)Acquire("a");
  EngineRequest request = Request("a");
  request.wish.placement.compute_type = at::kBFloat16;
  EXPECT_FALSE(AcquireEngineModel(runtime, request).was_hit());
}

// The device "meta" has no memory and needs none, so it stands for one on every machine.
TEST_F(EngineModelTest, ADemotedModelGivesItsDeviceBackAndReturnsWithoutALoad) {
  folder.Write("a", EncoderBytes('\1'));
  EngineRequest request = Request("a");
  request.wish.placement.device = at::kMeta;
  (void)AcquireEngineModel(runtime, request);
  const std::uint64_t size = runtime.cache()->Stats().resident_bytes.mapped;
  EXPECT_EQ(runtime.cache()->Stats().resident_bytes.device, size);
  (void)runtime.cache()->Trim(0, size, "a test");
  EXPECT_EQ(runtime.cache()->Stats().resident_bytes, (TierBytes{.mapped = size}));
  EXPECT_TRUE(AcquireEngineModel(runtime, request).was_hit());
  EXPECT_EQ(runtime.cache()->Stats().resident_bytes.device, size);
  EXPECT_EQ(Loads(), 1U);
}

}  // namespace
}  // namespace hearth
