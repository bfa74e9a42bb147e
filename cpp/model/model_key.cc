#include "model/model_key.h"

#include <array>
#include <functional>
#include <stdexcept>
#include <utility>

namespace hearth {
namespace {

constexpr std::array<std::pair<ModelKind, std::string_view>, 4> kWords = {{
    {ModelKind::kCheckpoint, "checkpoint"},
    {ModelKind::kDiffusionModel, "diffusion_model"},
    {ModelKind::kTextEncoder, "text_encoder"},
    {ModelKind::kVae, "vae"},
}};

void Mix(std::size_t& hash, std::string_view text) {
  constexpr std::size_t kGolden = 0x9e3779b97f4a7c15;  // 2^64 / golden ratio, spreads the bits
  hash ^= std::hash<std::string_view>()(text) + kGolden + (hash << 6) + (hash >> 2);
}

}  // namespace

std::string_view ToString(ModelKind kind) {
  return kWords.at(static_cast<std::size_t>(kind)).second;
}

ModelKind ModelKindFromString(std::string_view word) {
  for (const auto& [kind, known] : kWords) {
    if (known == word) return kind;
  }
  throw std::invalid_argument(
      "a model is a checkpoint, diffusion_model, text_encoder or vae, not '" + std::string(word) +
      "'");
}

bool ModelKey::SameSlot(const ModelKey& other) const {
  return kind == other.kind && name == other.name && loader == other.loader &&
         options == other.options;
}

std::size_t SlotHash::operator()(const ModelKey& key) const noexcept {
  std::size_t hash = static_cast<std::size_t>(key.kind);
  Mix(hash, key.name);
  Mix(hash, key.loader);
  Mix(hash, key.options);
  return hash;
}

std::size_t ModelKeyHash::operator()(const ModelKey& key) const noexcept {
  std::size_t hash = SlotHash()(key);
  Mix(hash, key.identity);
  return hash;
}

}  // namespace hearth
