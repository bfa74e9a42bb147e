// What is said when a file is not the model that it was taken for.
#include "weights/weight_scope.h"

#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "weights/file_kind.h"

namespace hearth {
namespace {

CheckpointTensors File(const std::vector<std::string>& names) {
  CheckpointTensors::Map tensors;
  for (const std::string& name : names) tensors.emplace(name, at::zeros({2, 3}));
  return {"file.safetensors", std::move(tensors)};
}

std::string MessageOf(const WeightScope& scope, const std::string& name,
                      const std::vector<std::int64_t>& shape) {
  try {
    static_cast<void>(scope.Get(name, shape));
  } catch (const CheckpointMismatch& error) {
    return error.what();
  }
  return "nothing was refused";
}

TEST(WeightScope, TheFirstMissingTensorIsNamedWithWhatTheFileLooksLike) {
  const CheckpointTensors file = File({"model.layers.0.self_attn.q_norm.weight"});
  const WeightScope scope(file, "a Z-Image transformer", {at::kCPU, at::kFloat});
  EXPECT_EQ(MessageOf(scope.Under("x_embedder."), "weight", {kAnySize}),
            "file.safetensors cannot be used as a Z-Image transformer: it has no tensor "
            "\"x_embedder.weight\". The file looks like a Qwen3 text encoder. Choose another file, "
            "or fetch this one again.");
}

TEST(WeightScope, AnotherShapeIsNamedWithBoth) {
  const CheckpointTensors file = File({"a.weight"});
  const WeightScope scope(file, "a VAE", {at::kCPU, at::kFloat});
  EXPECT_NE(MessageOf(scope, "a.weight", {kAnySize, 4}).find("is 2 x 3 and should be any x 4"),
            std::string::npos);
  EXPECT_NE(MessageOf(scope, "a.weight", {6}).find("is 2 x 3 and should be 6"), std::string::npos);
  EXPECT_TRUE(scope.Get("a.weight", {2, kAnySize}).defined());
}

TEST(WeightScope, TheFirstPrefixThatFitsIsTakenAndTheFirstOfAllWhenNoneDoes) {
  const CheckpointTensors file = File({"b.x"});
  const WeightScope scope(file, "a VAE", {at::kCPU, at::kFloat});
  EXPECT_TRUE(scope.UnderFirst({"a.", "b."}, "x").Has("x"));
  EXPECT_NE(MessageOf(scope.UnderFirst({"a.", "c."}, "x"), "x", {}).find("\"a.x\""),
            std::string::npos);
}

TEST(WeightScope, LayersAreCountedUpToTheFirstGap) {
  const CheckpointTensors file =
      File({"layers.0.w", "layers.1.w", "layers.10.w", "layers.3.w", "layersx.2.w"});
  const WeightScope scope(file, "a VAE", {at::kCPU, at::kFloat});
  EXPECT_EQ(scope.Count("layers."), 2);
  EXPECT_EQ(scope.Count("blocks."), 0);
}

TEST(WeightScope, QuantisedWeightsAreNotReadAsPlainOnes) {
  for (const char* const scale : {"a.w.weight_scale", "a.scale_weight", "a.w.comfy_quant"}) {
    const CheckpointTensors file = File({"a.w.weight", scale});
    EXPECT_THROW(WeightScope(file, "a VAE", {at::kCPU, at::kFloat}).RequireUnquantised(),
                 CheckpointMismatch);
  }
  const CheckpointTensors plain = File({"a.w.weight"});
  WeightScope(plain, "a VAE", {at::kCPU, at::kFloat}).RequireUnquantised();
}

TEST(FileKind, FilesAreToldApartByTheirNames) {
  EXPECT_EQ(
      LooksLike(File({"model.diffusion_model.input_blocks.0.0.weight", "first_stage_model.x"})),
      "a whole Stable Diffusion checkpoint");
  EXPECT_EQ(LooksLike(File({"cap_embedder.0.weight", "layers.0.attention.qkv.weight"})),
            "a Z-Image or Lumina transformer");
  EXPECT_EQ(LooksLike(File({"diffusion_model.layers.0.attention.to_q.lora_A.weight"})), "a LoRA");
  EXPECT_EQ(LooksLike(File({"decoder.up.3.block.0.norm1.weight"})), "a VAE");
  EXPECT_EQ(LooksLike(File({"something.else"})), "");
}

}  // namespace
}  // namespace hearth
