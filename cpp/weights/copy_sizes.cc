#include "weights/copy_sizes.h"

#include <algorithm>

namespace hearth {

std::vector<std::uint64_t> CopySizes(const HostFile& file, std::uint64_t offset,
                                     std::uint64_t size) {
  std::vector<std::uint64_t> sizes;
  while (size > 0) {
    // Registered is the beginning of a file: behind it nothing is, and all goes at once.
    const std::uint64_t copyable = file.CopyableBytes(offset);
    const std::uint64_t taken = copyable == 0 ? size : std::min(size, copyable);
    sizes.push_back(taken);
    offset += taken;
    size -= taken;
  }
  return sizes;
}

}  // namespace hearth
