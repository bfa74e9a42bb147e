#ifndef HEARTH_ZIMAGE_TRANSFORMER_H_
#define HEARTH_ZIMAGE_TRANSFORMER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "weights/checkpoint_tensors.h"
#include "zimage/linear.h"
#include "zimage/modulation.h"
#include "zimage/norm.h"
#include "zimage/rope.h"
#include "zimage/transformer_block.h"

namespace hearth {

struct TransformerOptions {
  at::ScalarType compute_type = at::kBFloat16;  // or kFloat; half floats overflow in this model
  at::Device device = at::kCPU;
  // Of the norms of queries and keys. ComfyUI takes torch's default for float32, diffusers and the
  // published code 1e-5; a trained model's queries are far from both.
  double qk_norm_eps = std::numeric_limits<float>::epsilon();
  // Of that device, for fewer passes over memory; null: tensor operations, with ComfyUI's
  // roundings.
  std::shared_ptr<const TransformerKernels> kernels = nullptr;
  // Of that device, for matrix products without a bias; null: torch's. REQUIRES: kernels.
  std::shared_ptr<const ProductLibrary> products = nullptr;
  // Of that device, for matrix products of the main layers in 8-bit floats, with a scale for each
  // row of weights and inputs; experimental. REQUIRES: kernels.
  std::shared_ptr<const RowQuantiser> quantiser = nullptr;
};

// A prompt as far as no image is needed for it: embedded, padded and refined.
struct PreparedCaption {
  at::Tensor tokens;  // batch (or 1) x padded tokens x width
  RopeTable rope;
};

// What the positions of one size of image behind one length of caption give.
struct PreparedImage {
  std::int64_t height;  // of the latents, as they came
  std::int64_t width;
  RopeTable rope;        // of the image alone
  RopeTable joint_rope;  // caption, then image
};

// All that depends on noise levels alone, for several of them at once.
struct PreparedLevels {
  std::vector<GateRows> refiner;  // one a block
  std::vector<GateRows> layers;
  at::Tensor final_scale;  // levels x width: 1 + scale
};

// S3-DiT, the transformer of Z-Image: latents and a caption's embedding go in as one sequence, each
// after two refining blocks of its own. Sizes are those of the file. Immutable; any thread, several
// at once. Each call is without gradients.
class Transformer {
 public:
  // Reads ComfyUI's layout (fused) and diffusers' (separate), with or without a prefix. The weights
  // are those of `tensors`, in its type, and are not copied unless they lie on another device.
  // Throws CheckpointMismatch, or Error for a type it cannot compute in.
  Transformer(const CheckpointTensors& tensors, const TransformerOptions& options);

  // `embedding`: batch (or 1) x tokens x the text encoder's width; at least one token.
  PreparedCaption PrepareCaption(const at::Tensor& embedding) const;
  // `height` and `width` of the latents.
  PreparedImage PrepareImage(const PreparedCaption& caption, std::int64_t height,
                             std::int64_t width) const;
  // `sigmas`: one row.
  PreparedLevels PrepareLevels(const at::Tensor& sigmas) const;

  // The velocity towards noise at level number `level` of `levels`: x0 = latents - sigma *
  // velocity. `latents`: batch x channels x height x width. Batch x … float32.
  at::Tensor Velocity(const at::Tensor& latents, const PreparedCaption& caption,
                      const PreparedImage& image, const PreparedLevels& levels,
                      std::int64_t level) const;

  std::int64_t width() const { return patch_in_.rows(); }
  std::int64_t head_width() const { return head_width_; }
  std::int64_t channels() const { return patch_in_.columns() / 4; }
  std::int64_t caption_width() const { return caption_in_.columns(); }
  const TransformerOptions& options() const { return options_; }

 private:
  Transformer(const WeightScope& scope, const TransformerOptions& options);

  at::Tensor Padded(const at::Tensor& tokens, const at::Tensor& token) const;
  at::Tensor Refined(const at::Tensor& tokens, const RopeTable& rope) const;
  at::Tensor Through(const std::vector<ModulatedBlock>& blocks, const at::Tensor& x,
                     const RopeTable& rope, const std::vector<BlockGates>& gates) const;
  at::Tensor Patches(const at::Tensor& latents) const;
  at::Tensor Image(const at::Tensor& patches, const PreparedImage& image) const;

  TransformerOptions options_;
  FusedSteps steps_;
  Linear patch_in_;
  Linear patch_out_;
  TimeEmbedder time_;
  RmsNorm caption_norm_;
  Linear caption_in_;
  Linear final_modulation_;
  at::Tensor caption_pad_;
  at::Tensor image_pad_;
  std::int64_t head_width_;
  std::vector<ModulatedBlock> noise_refiner_;
  std::vector<TransformerBlock> context_refiner_;
  std::vector<ModulatedBlock> layers_;
};

}  // namespace hearth

#endif  // HEARTH_ZIMAGE_TRANSFORMER_H_
