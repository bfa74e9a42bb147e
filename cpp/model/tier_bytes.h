#ifndef HEARTH_MODEL_TIER_BYTES_H_
#define HEARTH_MODEL_TIER_BYTES_H_

#include <cstdint>

namespace hearth {

// Where the bytes of a model are. A model can stand on several tiers at once.
struct TierBytes {
  std::uint64_t mapped = 0;     // file pages mapped; in the page cache, given back under pressure
  std::uint64_t anonymous = 0;  // private host memory
  std::uint64_t pinned = 0;     // page-locked host memory, ComfyUI's pins included
  std::uint64_t device = 0;     // VRAM

  // What counts against the RAM budget. Mapped file pages count too: while they are needed they
  // must be in RAM, whatever "available" says.
  constexpr std::uint64_t host() const { return mapped + anonymous + pinned; }
  constexpr std::uint64_t total() const { return host() + device; }
  bool operator==(const TierBytes&) const = default;
};

constexpr TierBytes operator+(const TierBytes& a, const TierBytes& b) {
  return {a.mapped + b.mapped, a.anonymous + b.anonymous, a.pinned + b.pinned, a.device + b.device};
}

}  // namespace hearth

#endif  // HEARTH_MODEL_TIER_BYTES_H_
