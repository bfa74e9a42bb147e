#ifndef HEARTH_CHECKPOINT_SAFETENSORS_HEADER_H_
#define HEARTH_CHECKPOINT_SAFETENSORS_HEADER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "checkpoint/dtype.h"
#include "checkpoint/strict_json.h"

namespace hearth {

// Limits of what is read; real files stay far below them.
inline constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the reference reader's limit
inline constexpr std::size_t kMaxRank = 64;
inline constexpr std::size_t kMaxNameBytes = 65536;
inline constexpr std::size_t kMaxTensors = 1'000'000;

// One tensor as the header tells it; not yet compared with the file.
struct DeclaredTensor {
  std::string name;
  Dtype dtype = Dtype::kU8;
  std::vector<std::uint64_t> shape;
  std::uint64_t begin = 0;  // in the data section
  std::uint64_t end = 0;
  std::uint64_t declared_at = 0;  // where in the file the header names it
};

struct SafetensorsHeader {
  std::vector<DeclaredTensor> tensors;  // in the order of the header
  std::map<std::string, std::string> metadata;
  std::vector<std::string> warnings;
};

// Reads the header's JSON and checks each value by itself: types, limits, begin <= end. A million
// tensors take a test a second, so it may ask for fewer.
// Throws CheckpointCorrupt.
SafetensorsHeader ParseSafetensorsHeader(const JsonText& json,
                                         std::size_t most_tensors = kMaxTensors);

}  // namespace hearth

#endif  // HEARTH_CHECKPOINT_SAFETENSORS_HEADER_H_
