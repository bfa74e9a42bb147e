#include "weights/file_kind.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace hearth {
namespace {

struct Kind {
  std::string_view mark;  // a part of a name that files of this kind have
  std::string_view what;
};

// The first that fits wins: whole checkpoints before the parts that they contain, Z-Image's own
// before the families with similar names.
constexpr std::array<Kind, 31> kKinds{{
    {"lora_up.", "a LoRA"},
    {"lora_A.", "a LoRA"},
    {"lora_B.", "a LoRA"},
    {".lokr_w1", "a LoKr (a kind of LoRA)"},
    {".hada_w1", "a LoHa (a kind of LoRA)"},
    {"control_model.", "a ControlNet"},
    {"controlnet_cond_embedding.", "a ControlNet"},
    {"control_layers.", "a ControlNet for Z-Image"},
    {"model.diffusion_model.input_blocks.", "a whole Stable Diffusion checkpoint"},
    {"model.diffusion_model.joint_blocks.", "a Stable Diffusion 3 checkpoint"},
    {"model.diffusion_model.double_blocks.", "a Flux checkpoint"},
    {"model.diffusion_model.cap_embedder.", "a whole Z-Image or Lumina checkpoint"},
    {"siglip_embedder.", "a Z-Image Omni transformer"},
    {"cap_embedder.", "a Z-Image or Lumina transformer"},
    {"double_blocks.", "a Flux transformer"},
    {"single_transformer_blocks.", "a Flux transformer in diffusers' layout"},
    {"joint_blocks.", "a Stable Diffusion 3 transformer"},
    {"input_blocks.", "a Stable Diffusion UNet"},
    {"down_blocks.0.attentions.", "a Stable Diffusion UNet in diffusers' layout"},
    {"patch_embedding.", "a Wan video transformer"},
    {"transformer_blocks.0.attn.add_k_proj", "a Qwen-Image transformer"},
    {"visual.patch_embed.", "a Qwen-VL text encoder"},
    {"self_attn.q_norm.", "a Qwen3 text encoder"},
    {"self_attn.q_proj.bias", "a Qwen2 text encoder"},
    {"text_model.encoder.layers.", "a CLIP text encoder"},
    {"SelfAttention.relative_attention_bias", "a T5 text encoder"},
    {"self_attn.q_proj.", "a language model"},
    {"decoder.middle.0.residual", "a Wan video VAE"},
    {"decoder.mid_block.", "a VAE in diffusers' layout"},
    {"decoder.up.", "a VAE"},
    {"taesd", "a preview decoder"},
}};

}  // namespace

std::string LooksLike(const CheckpointTensors& tensors) {
  const auto& all = tensors.all();
  const auto fits = [&all](const Kind& kind) {
    return std::any_of(all.begin(), all.end(), [&kind](const auto& tensor) {
      return tensor.first.find(kind.mark) != std::string::npos;
    });
  };
  const auto found = std::find_if(kKinds.begin(), kKinds.end(), fits);
  return found == kKinds.end() ? std::string() : std::string(found->what);
}

}  // namespace hearth
