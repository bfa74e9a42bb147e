#ifndef HEARTH_ZIMAGE_LATENT_FORMAT_H_
#define HEARTH_ZIMAGE_LATENT_FORMAT_H_

#include <ATen/core/Tensor.h>

namespace hearth {

// The transformer's latents have unit scale and no mean; the VAE's are Flux's. Both directions.
at::Tensor ForVae(const at::Tensor& latents);
at::Tensor ForTransformer(const at::Tensor& latents);

// What the VAE gave, as an image: batch x height x width x 3 of float32, 0 to 1.
at::Tensor AsImage(const at::Tensor& decoded);

// The same as bytes, cut off and not rounded, as ComfyUI saves them.
at::Tensor AsBytes(const at::Tensor& image);

}  // namespace hearth

#endif  // HEARTH_ZIMAGE_LATENT_FORMAT_H_
