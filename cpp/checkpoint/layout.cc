#include "checkpoint/layout.h"

#include <algorithm>
#include <optional>
#include <string>
#include <tuple>

#include "base/bytes.h"
#include "checkpoint/fault.h"
#include "checkpoint/printable.h"

namespace hearth {
namespace {

struct DataSection {
  const ByteSource& source;
  std::uint64_t offset;  // in the file

  std::uint64_t size() const { return source.size() - offset; }
  // Where in the file; for offsets past the end, the end.
  std::uint64_t InFile(std::uint64_t at) const { return offset + std::min(at, size()); }
};

std::string DescribeShape(const DeclaredTensor& tensor) {
  std::string text = std::string(ToString(tensor.dtype)) + " [";
  for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
    if (i > 0) text += ",";
    text += std::to_string(tensor.shape[i]);
  }
  return text + "]";
}

// Bits the shape takes, or nullopt when 64 bits do not hold the number. In the order of the
// dimensions: a zero after an overflow does not heal it, as for the reference reader.
std::optional<std::uint64_t> BitsOfShape(const DeclaredTensor& tensor) {
  std::optional<std::uint64_t> count = 1;
  for (const std::uint64_t dimension : tensor.shape) {
    if (count) count = CheckedMultiply(*count, dimension);
  }
  return count ? CheckedMultiply(*count, BitsOf(tensor.dtype)) : std::nullopt;
}

void CheckSize(const std::string& file_name, const DeclaredTensor& tensor) {
  const auto refuse = [&](std::string what, std::string expected) {
    Refuse(file_name, {tensor.declared_at, std::move(what), std::move(expected), tensor.name});
  };
  const std::optional<std::uint64_t> bits = BitsOfShape(tensor);
  if (!bits) {
    refuse(Printable(DescribeShape(tensor)) + " is larger than any file", "a smaller shape");
  }
  if (*bits % 8 != 0) {
    refuse(DescribeShape(tensor) + " does not fill whole bytes", "a count that does");
  }
  const std::uint64_t declared = tensor.end - tensor.begin;
  if (declared != *bits / 8) {
    refuse(DescribeShape(tensor) + " takes " + std::to_string(*bits / 8) +
               " bytes, but its data_offsets give it " + std::to_string(declared),
           "data_offsets that match shape and dtype; have the file saved again");
  }
}

void CheckFollows(const DataSection& data, const DeclaredTensor& tensor,
                  const DeclaredTensor* before) {
  const std::uint64_t free_from = before == nullptr ? 0 : before->end;
  if (tensor.begin == free_from) return;
  const std::string previous =
      before == nullptr ? "the header" : "tensor \"" + Printable(before->name) + "\"";
  const std::string expected = "data that begins at offset " + std::to_string(free_from) +
                               ", right after " + previous + "; have the file saved again";
  if (tensor.begin > free_from) {
    const std::string whose = "after " + previous + " belong";
    Refuse(data.source.name(),
           {data.InFile(free_from),
            CountedBytes(tensor.begin - free_from, whose + "s", whose) + " to no tensor", expected,
            tensor.name});
  }
  Refuse(data.source.name(), {data.InFile(tensor.begin), "its data overlaps that of " + previous,
                              expected, tensor.name});
}

void CheckEnd(const DataSection& data, std::uint64_t data_end) {
  const ByteSource& source = data.source;
  const std::uint64_t data_size = data.size();
  if (data_end > data_size) {
    const std::string missing = CountedBytes(data_end - data_size, "is", "are");
    Refuse(source.name(),
           {.offset = source.size(),
            .what = "the file is cut off: " + missing + " missing at its end",
            .expected = source.IsFresh()
                            ? "a complete file; it was written to within the last minute and may "
                              "still be on its way, so try again when the copy or download is done"
                            : "a complete file; copy or download it again"});
  }
  if (data_end < data_size) {
    Refuse(source.name(),
           {.offset = data.InFile(data_end),
            .what = CountedBytes(data_size - data_end, "belongs", "belong") + " to no tensor",
            .expected = "the end of the file; something was appended to it, so get it again from "
                        "where it came from"});
  }
}

}  // namespace

void SortAndCheckLayout(const ByteSource& source, std::uint64_t data_offset,
                        std::vector<DeclaredTensor>& tensors) {
  std::stable_sort(tensors.begin(), tensors.end(),
                   [](const DeclaredTensor& a, const DeclaredTensor& b) {
                     return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
                   });
  const DataSection data{source, data_offset};
  const DeclaredTensor* before = nullptr;
  for (const DeclaredTensor& tensor : tensors) {
    CheckSize(source.name(), tensor);
    CheckFollows(data, tensor, before);
    before = &tensor;
  }
  CheckEnd(data, before == nullptr ? 0 : before->end);
}

}  // namespace hearth
