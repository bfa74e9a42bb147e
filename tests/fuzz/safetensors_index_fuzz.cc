// Any bytes as a checkpoint file, and any text as the header of one. What is accepted must explain
// every byte of the file; what is refused must be refused in words; a slow disk changes neither.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "checkpoint/content_scan.h"
#include "checkpoint/file_bytes.h"
#include "checkpoint/memory_source.h"
#include "checkpoint/safetensors_index.h"

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void CheckExplainsEveryByte(const hearth::SafetensorsIndex& index) {
  std::uint64_t at = index.data_offset();
  for (const hearth::TensorInfo& tensor : index.tensors()) {
    Require(tensor.offset == at);
    at = tensor.end();
    Require(index.Find(tensor.name) == &tensor);
  }
  Require(at == index.file_size());
}

void CheckScanReadsEveryByte(const hearth::MemorySource& source,
                             const hearth::SafetensorsIndex& index) {
  std::uint64_t seen = 0;
  hearth::ScanContents(source, index, {.threads = 1, .block_bytes = 64},
                       [&](std::string_view block) { seen += block.size(); });
  Require(seen == index.file_size());
}

std::optional<std::string> ReasonToRefuse(const hearth::MemorySource& source) {
  try {
    const hearth::SafetensorsIndex index = hearth::SafetensorsIndex::Read(source);
    CheckExplainsEveryByte(index);
    // Starting a thread costs more than all the rest; every sixteenth file will do.
    if (source.size() % 16 == 0) CheckScanReadsEveryByte(source, index);
    return std::nullopt;
  } catch (const hearth::CheckpointCorrupt& error) {
    Require(error.byte_offset() <= source.size());
    Require(error.file_name() == source.name());
    return error.what();
  }
}

void Read(const std::string& file) {
  const auto reason = ReasonToRefuse(hearth::MemorySource(file));
  const hearth::ReadFaults slow{.most_per_read = 3, .interrupt_every_other = true};
  if (file.size() < 4096) Require(ReasonToRefuse(hearth::MemorySource(file, slow)) == reason);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  Read(input);
  // As a header, with as much data as its last byte says: most mutations then get past the length.
  const std::size_t data_bytes = size == 0 ? 0 : data[size - 1];
  Read(hearth::FileBytes(input, 0));
  if (size > 0) Read(hearth::FileBytes(input.substr(0, size - 1), data_bytes));
  return 0;
}
