#ifndef HEARTH_MODEL_MODEL_KEY_H_
#define HEARTH_MODEL_MODEL_KEY_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace hearth {

enum class ModelKind { kCheckpoint, kDiffusionModel, kTextEncoder, kVae };

// "checkpoint", "diffusion_model", "text_encoder", "vae".
std::string_view ToString(ModelKind kind);
// Throws std::invalid_argument for any other word.
ModelKind ModelKindFromString(std::string_view word);

// Text encoders and VAEs count against bytes only, never against max_cached_models.
constexpr bool CountsAsModel(ModelKind kind) {
  return kind == ModelKind::kCheckpoint || kind == ModelKind::kDiffusionModel;
}

// What a model is called. Two keys are the same model when all fields are equal; they are the same
// *slot* when all fields but `identity` are: the same name and options, perhaps another file now.
struct ModelKey {
  ModelKind kind = ModelKind::kCheckpoint;
  std::string loader;  // class of the loader, e.g. "UNETLoader"
  std::string name;  // entry of the model list, e.g. "z_image_turbo_bf16.safetensors"; never a path
  std::string options;   // canonical text of every other input and of the current devices
  std::string identity;  // identity of the file(s): real path, size, mtime_ns, inode

  bool operator==(const ModelKey&) const = default;
  bool SameSlot(const ModelKey& other) const;
};

struct ModelKeyHash {
  std::size_t operator()(const ModelKey& key) const noexcept;
};
// Hash and equality over everything but `identity`.
struct SlotHash {
  std::size_t operator()(const ModelKey& key) const noexcept;
};
struct SlotEqual {
  bool operator()(const ModelKey& a, const ModelKey& b) const { return a.SameSlot(b); }
};

}  // namespace hearth

#endif  // HEARTH_MODEL_MODEL_KEY_H_
