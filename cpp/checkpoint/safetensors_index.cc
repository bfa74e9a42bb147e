#include "checkpoint/safetensors_index.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <utility>

#include "base/error.h"
#include "checkpoint/disguise.h"
#include "checkpoint/fault.h"
#include "checkpoint/layout.h"
#include "checkpoint/safetensors_header.h"

namespace hearth {
namespace {

constexpr std::uint64_t kLengthBytes = 8;

std::uint64_t ReadLittleEndian(const ByteSource& source) {
  std::array<char, kLengthBytes> bytes;
  ReadExactly(source, 0, bytes.data(), bytes.size());
  std::uint64_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) {
    value = value << 8 | static_cast<unsigned char>(bytes[i]);
  }
  return value;
}

// The header is wrong from its start: says what the file really is, else what is wrong.
[[noreturn]] void RefuseStart(const ByteSource& source, const Fault& fault) {
  std::string prefix(std::min<std::uint64_t>(source.size(), kDisguisePrefix), '\0');
  ReadExactly(source, 0, prefix.data(), prefix.size());
  if (const std::optional<std::string> disguise = NameDisguise(prefix)) {
    Refuse(source.name(), {.offset = 0, .what = "this is " + *disguise, .expected = {}});
  }
  Refuse(source.name(), fault);
}

std::uint64_t ReadHeaderLength(const ByteSource& source) {
  const std::uint64_t size = source.size();
  if (size == 0) {
    Refuse(source.name(), {.offset = 0,
                           .what = "the file is empty",
                           .expected = "a safetensors file; copy or download it again"});
  }
  if (size < kLengthBytes) {
    RefuseStart(source, {.offset = size,
                         .what = "the file has only " + std::to_string(size) + " bytes",
                         .expected = "a safetensors file; copy or download it again"});
  }
  const std::uint64_t length = ReadLittleEndian(source);
  if (length == 0) {
    RefuseStart(source, {.offset = 0,
                         .what = "the header's length is 0",
                         .expected = "a safetensors file; copy or download it again"});
  }
  if (length > kMaxHeaderBytes) {
    RefuseStart(source, {.offset = 0,
                         .what = "this is not a safetensors file: its first 8 bytes say that the "
                                 "header has " +
                                 std::to_string(length) + " bytes",
                         .expected = "at most " + std::to_string(kMaxHeaderBytes)});
  }
  if (length > size - kLengthBytes) {
    const std::uint64_t missing = length - (size - kLengthBytes);
    RefuseStart(
        source,
        {.offset = size,
         .what = "the file is cut off within its header: " +
                 CountedBytes(missing, "of the header is missing", "of the header are missing"),
         .expected = source.IsFresh() ? "a complete file; it may still be on its way, so try "
                                        "again when the copy or download is done"
                                      : "a complete file; copy or download it again"});
  }
  return length;
}

std::string ReadHeaderText(const ByteSource& source, std::uint64_t length) {
  std::string text(length, '\0');
  ReadExactly(source, kLengthBytes, text.data(), text.size());
  const std::size_t start = text.find_first_not_of(" \t\r\n");
  if (start == std::string::npos || text[start] != '{') {
    const bool has_mark = text.compare(0, 3, "\xef\xbb\xbf") == 0;
    RefuseStart(source, {.offset = kLengthBytes + (start == std::string::npos ? 0 : start),
                         .what = has_mark ? "the header starts with a byte order mark"
                                          : "the header does not start with {",
                         .expected = "a safetensors file; copy or download it again"});
  }
  return text;
}

}  // namespace

SafetensorsIndex SafetensorsIndex::Read(const ByteSource& source) {
  const std::uint64_t length = ReadHeaderLength(source);
  const std::string text = ReadHeaderText(source, length);
  SafetensorsHeader header = ParseSafetensorsHeader({source.name(), text, kLengthBytes});

  SafetensorsIndex index;
  index.file_size_ = source.size();
  index.data_offset_ = kLengthBytes + length;
  index.metadata_ = std::move(header.metadata);
  index.warnings_ = std::move(header.warnings);
  if (text.front() != '{') {
    index.warnings_.push_back("the header starts with spaces; the format asks for { at byte 8");
  }
  SortAndCheckLayout(source, index.data_offset_, header.tensors);
  index.tensors_.reserve(header.tensors.size());
  for (DeclaredTensor& tensor : header.tensors) {
    index.tensors_.push_back({std::move(tensor.name), tensor.dtype, std::move(tensor.shape),
                              index.data_offset_ + tensor.begin, tensor.end - tensor.begin});
  }
  index.by_name_.resize(index.tensors_.size());
  std::iota(index.by_name_.begin(), index.by_name_.end(), 0u);
  std::sort(index.by_name_.begin(), index.by_name_.end(), [&](std::uint32_t a, std::uint32_t b) {
    return index.tensors_[a].name < index.tensors_[b].name;
  });
  return index;
}

SafetensorsIndex SafetensorsIndex::Read(const CheckpointFile& file) {
  try {
    SafetensorsIndex index = Read(static_cast<const ByteSource&>(file));
    file.RequireUnchanged();
    if (const std::optional<std::uint64_t> unwritten = file.FirstUnwrittenByte()) {
      index.warnings_.push_back("a gap where nothing was ever written begins at byte " +
                                std::to_string(*unwritten) +
                                "; perhaps the file is still being downloaded");
    }
    return index;
  } catch (const CheckpointCorrupt&) {
    file.RequireUnchanged();  // a better reason than the one found in half-written bytes
    throw;
  }
}

SafetensorsIndex SafetensorsIndex::ReadFile(const std::string& path, const AllowedRoots& roots) {
  return Read(CheckpointFile(path, roots));
}

const TensorInfo* SafetensorsIndex::Find(std::string_view name) const {
  const auto found = std::lower_bound(
      by_name_.begin(), by_name_.end(), name,
      [&](std::uint32_t at, std::string_view wanted) { return tensors_[at].name < wanted; });
  if (found == by_name_.end() || tensors_[*found].name != name) return nullptr;
  return &tensors_[*found];
}

}  // namespace hearth
