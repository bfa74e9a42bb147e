#ifndef HEARTH_CHECKPOINT_CONTENT_SCAN_H_
#define HEARTH_CHECKPOINT_CONTENT_SCAN_H_

#include <cstddef>
#include <functional>
#include <string_view>
#include <vector>

#include "checkpoint/byte_source.h"
#include "checkpoint/safetensors_index.h"
#include "checkpoint/value_counts.h"

namespace hearth {

struct ScanOptions {
  unsigned threads = 4;                // that read and count; at least 1
  std::size_t block_bytes = 8u << 20;  // per read; at least 64
};

// Receives every byte of the file once, in order, in blocks, on the caller's thread: for a hash and
// a progress bar. What it throws ends the scan and comes out of ScanContents().
using BlockSink = std::function<void(std::string_view block)>;

// Reads the whole file in several threads and counts what is no number, per tensor in the order of
// index.tensors(). `index` is of this source. Takes 2 * threads blocks of memory, whatever the
// file's size. Throws CheckpointCorrupt at the first byte that cannot be read.
std::vector<ValueCounts> ScanContents(const ByteSource& source, const SafetensorsIndex& index,
                                      const ScanOptions& options, const BlockSink& sink);

}  // namespace hearth

#endif  // HEARTH_CHECKPOINT_CONTENT_SCAN_H_
