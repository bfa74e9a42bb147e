#ifndef HEARTH_CHECKPOINT_SAFETENSORS_INDEX_H_
#define HEARTH_CHECKPOINT_SAFETENSORS_INDEX_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/byte_source.h"
#include "checkpoint/checkpoint_file.h"
#include "checkpoint/dtype.h"

namespace hearth {

// Where one tensor lies. Its bytes are inside the file and belong to it alone; they may start at
// any byte, so they must be copied and never cast in place.
struct TensorInfo {
  std::string name;  // opaque bytes: not a path, not an attribute, not fit for a message as it is
  Dtype dtype = Dtype::kU8;
  std::vector<std::uint64_t> shape;  // empty: one number
  std::uint64_t offset = 0;          // in the file
  std::uint64_t size = 0;            // in bytes

  std::uint64_t end() const { return offset + size; }
};

// What is in a safetensors file: its header, checked to the last byte against the file's size.
// Every byte of the file is explained: by the header or by exactly one tensor. Immutable;
// thread-safe.
class SafetensorsIndex {
 public:
  // Reads the header only. Throws CheckpointCorrupt.
  static SafetensorsIndex Read(const ByteSource& source);
  // The same, and refuses a file that is written to meanwhile.
  static SafetensorsIndex Read(const CheckpointFile& file);
  // The same; also throws CheckpointNotFound.
  static SafetensorsIndex ReadFile(const std::string& path, const AllowedRoots& roots = {});

  SafetensorsIndex(SafetensorsIndex&&) = default;
  SafetensorsIndex& operator=(SafetensorsIndex&&) = default;
  SafetensorsIndex(const SafetensorsIndex&) = delete;
  SafetensorsIndex& operator=(const SafetensorsIndex&) = delete;

  // In the order of their bytes in the file.
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  // nullptr when there is none of this name.
  const TensorInfo* Find(std::string_view name) const;
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  // What is odd but loads everywhere; sentences.
  const std::vector<std::string>& warnings() const { return warnings_; }
  std::uint64_t file_size() const { return file_size_; }
  // Where the tensors' bytes begin.
  std::uint64_t data_offset() const { return data_offset_; }

 private:
  SafetensorsIndex() = default;

  std::vector<TensorInfo> tensors_;
  std::vector<std::uint32_t> by_name_;  // places in tensors_, sorted by name
  std::map<std::string, std::string> metadata_;
  std::vector<std::string> warnings_;
  std::uint64_t file_size_ = 0;
  std::uint64_t data_offset_ = 0;
};

}  // namespace hearth

#endif  // HEARTH_CHECKPOINT_SAFETENSORS_INDEX_H_
