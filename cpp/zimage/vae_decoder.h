#ifndef HEARTH_ZIMAGE_VAE_DECODER_H_
#define HEARTH_ZIMAGE_VAE_DECODER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "weights/checkpoint_tensors.h"
#include "zimage/vae_block.h"

namespace hearth {

struct VaeOptions {
  at::ScalarType compute_type = at::kBFloat16;
  at::Device device = at::kCPU;
  // Of that device, for fewer passes over memory; null: tensor operations, with ComfyUI's
  // roundings.
  ImageSteps::Kernels kernels = nullptr;
};

// The decoder of Flux's autoencoder, which Z-Image shares. Immutable; any thread.
class VaeDecoder {
 public:
  // Reads the original layout and diffusers'. Throws CheckpointMismatch.
  VaeDecoder(const CheckpointTensors& tensors, const VaeOptions& options);

  // `latents`: batch x channels x height x width, as `ForVae` gives them. batch x 3 x (scale()
  // height) x (scale() width) of float32, from -1 to 1 and a little beyond.
  at::Tensor Decode(const at::Tensor& latents) const;

  std::int64_t channels() const { return in_.columns(); }
  std::int64_t scale() const { return std::int64_t{1} << (level_count_ - 1); }

 private:
  struct Level {
    std::vector<ResidualBlock> blocks;
    std::optional<Convolution> upsample;  // after doubling height and width; the last one has none
  };
  struct Source {
    WeightScope decoder;
    VaeStyle style;
  };

  static Source SourceOf(const CheckpointTensors& tensors, const VaeOptions& options);
  VaeDecoder(const Source& source, const VaeOptions& options);
  // `index`: in the order of work.
  Level ReadLevel(const Source& source, std::int64_t index, std::int64_t width) const;

  VaeOptions options_;
  ImageSteps steps_;
  Convolution in_;
  ResidualBlock middle_first_;
  VaeAttention middle_attention_;
  ResidualBlock middle_second_;
  std::int64_t level_count_;
  std::vector<Level> levels_;  // in the order of work: the smallest image first
  std::optional<GroupNorm> out_norm_;
  std::optional<Convolution> out_;
};

}  // namespace hearth

#endif  // HEARTH_ZIMAGE_VAE_DECODER_H_
