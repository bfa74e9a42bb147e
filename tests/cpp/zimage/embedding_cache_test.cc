// A prompt that comes again needs no text encoder.
#include "zimage/embedding_cache.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include <string>

namespace hearth {
namespace {

constexpr std::int64_t kWidth = 8;
constexpr std::int64_t kHead = 4;

// Of two layers, of which the first is computed.
TextEncoder MakeEncoder(const std::string& name) {
  CheckpointTensors::Map tensors{{"model.embed_tokens.weight", at::randn({16, kWidth})}};
  const std::string layer = "model.layers.0.";
  for (const char* const part :
       {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
        "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}) {
    tensors.emplace(layer + part + ".weight", at::randn({kWidth, kWidth}));
  }
  for (const char* const norm : {"self_attn.q_norm", "self_attn.k_norm"}) {
    tensors.emplace(layer + norm + ".weight", at::ones({kHead}));
  }
  for (const char* const norm : {"input_layernorm", "post_attention_layernorm"}) {
    tensors.emplace(layer + norm + ".weight", at::ones({kWidth}));
  }
  return {CheckpointTensors(name, std::move(tensors)), {}};
}

TEST(EmbeddingCache, APromptThatComesAgainIsNotComputedAgain) {
  const TextEncoder encoder = MakeEncoder("one");
  EmbeddingCache cache(2);
  const at::Tensor first = cache.Encode(encoder, {1, 2, 3});
  const at::Tensor again = cache.Encode(encoder, {1, 2, 3});
  EXPECT_EQ(first.const_data_ptr(), again.const_data_ptr());
  EXPECT_EQ(cache.stats().hits, 1U);
  EXPECT_EQ(cache.stats().misses, 1U);
}

TEST(EmbeddingCache, AnotherEncoderIsAskedItself) {
  const TextEncoder one = MakeEncoder("one");
  const TextEncoder other = MakeEncoder("other");
  EmbeddingCache cache(2);
  EXPECT_FALSE(at::equal(cache.Encode(one, {1, 2}), cache.Encode(other, {1, 2})));
  EXPECT_EQ(cache.stats().misses, 2U);
}

TEST(EmbeddingCache, TheLeastRecentlyUsedGoes) {
  const TextEncoder encoder = MakeEncoder("one");
  EmbeddingCache cache(2);
  cache.Encode(encoder, {1});
  cache.Encode(encoder, {2});
  cache.Encode(encoder, {1});
  cache.Encode(encoder, {3});
  EXPECT_EQ(cache.stats().entries, 2U);
  cache.Encode(encoder, {1});
  EXPECT_EQ(cache.stats().hits, 2U);
  cache.Encode(encoder, {2});
  EXPECT_EQ(cache.stats().misses, 4U);
}

}  // namespace
}  // namespace hearth
