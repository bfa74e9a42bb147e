#ifndef HEARTH_CHECKPOINT_LAYOUT_H_
#define HEARTH_CHECKPOINT_LAYOUT_H_

#include <cstdint>
#include <vector>

#include "checkpoint/byte_source.h"
#include "checkpoint/safetensors_header.h"

namespace hearth {

// Sorts the tensors by their place in the data section and checks that each takes as many bytes as
// its shape and dtype say, that they follow each other without a hole or an overlap, and that the
// last ends where the file does. `data_offset` is where the data section begins; it is inside the
// file. Throws CheckpointCorrupt.
void SortAndCheckLayout(const ByteSource& source, std::uint64_t data_offset,
                        std::vector<DeclaredTensor>& tensors);

}  // namespace hearth

#endif  // HEARTH_CHECKPOINT_LAYOUT_H_
