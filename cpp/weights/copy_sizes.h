#ifndef HEARTH_WEIGHTS_COPY_SIZES_H_
#define HEARTH_WEIGHTS_COPY_SIZES_H_

#include <cstdint>
#include <vector>

#include "hosttier/host_file.h"

namespace hearth {

// The sizes of the copies in which a device fetches that range of a file, in their order: one
// copy over two ranges that were registered apart, or that ends where nothing is registered, is an
// error of the driver. REQUIRES: the range is in the file.
std::vector<std::uint64_t> CopySizes(const HostFile& file, std::uint64_t offset,
                                     std::uint64_t size);

}  // namespace hearth

#endif  // HEARTH_WEIGHTS_COPY_SIZES_H_
