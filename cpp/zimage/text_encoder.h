#ifndef HEARTH_ZIMAGE_TEXT_ENCODER_H_
#define HEARTH_ZIMAGE_TEXT_ENCODER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "weights/checkpoint_tensors.h"
#include "zimage/fused_steps.h"
#include "zimage/text_layer.h"

namespace hearth {

struct TextEncoderOptions {
  at::ScalarType compute_type = at::kFloat;  // ComfyUI's; kBFloat16 is what was published
  at::Device device = at::kCPU;
  // Of that device, for fewer passes over memory; null: tensor operations.
  std::shared_ptr<const TransformerKernels> kernels = nullptr;
};

// Qwen3 as Z-Image uses it: the hidden state before the last layer, without the final norm. The
// last layer is neither read nor computed. Sizes are those of the file. Immutable; any thread.
class TextEncoder {
 public:
  // Throws CheckpointMismatch.
  TextEncoder(const CheckpointTensors& tensors, const TextEncoderOptions& options);

  // `tokens`: batch x tokens of int64, in host memory. batch x tokens x width() of float32, on the
  // device. Throws Error for a token outside the vocabulary, and for none at all.
  at::Tensor Encode(const at::Tensor& tokens) const;

  std::int64_t width() const { return embedding_.size(1); }
  // Equal for encoders that give equal embeddings.
  const std::string& identity() const { return identity_; }

 private:
  TextEncoder(const WeightScope& scope, const TextEncoderOptions& options, std::string identity);

  at::Tensor Padded(const at::Tensor& tokens) const;

  TextEncoderOptions options_;
  std::string identity_;
  FusedSteps steps_;
  at::Tensor embedding_;
  std::vector<TextLayer> layers_;
};

}  // namespace hearth

#endif  // HEARTH_ZIMAGE_TEXT_ENCODER_H_
