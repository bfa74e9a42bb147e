#include "zimage/latent_format.h"

namespace hearth {
namespace {

constexpr double kScale = 0.3611;
constexpr double kShift = 0.1159;

}  // namespace

at::Tensor ForVae(const at::Tensor& latents) { return latents.div(kScale).add(kShift); }

at::Tensor ForTransformer(const at::Tensor& latents) { return latents.sub(kShift).mul(kScale); }

at::Tensor AsImage(const at::Tensor& decoded) {
  return decoded.add(1.0).div(2.0).clamp(0.0, 1.0).movedim(1, -1);
}

at::Tensor AsBytes(const at::Tensor& image) {
  return image.mul(255.0).clamp(0.0, 255.0).to(at::kByte);
}

}  // namespace hearth
