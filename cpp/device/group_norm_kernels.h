#ifndef HEARTH_DEVICE_GROUP_NORM_KERNELS_H_
#define HEARTH_DEVICE_GROUP_NORM_KERNELS_H_

#include <cstdint>
#include <memory>
#include <string>

#include "device/kernel_module.h"

namespace hearth {

// The text that is compiled; what each kernel computes is said there.
const std::string& GroupNormKernelText();

// GroupNorm over 32 groups and SiLU, of images in bfloat16 whose channels lie together. Immutable;
// any thread, but a stream belongs to one at a time.
class GroupNormKernels {
 public:
  static constexpr std::int64_t kGroups = 32;
  // Into how many parts an image is cut for the sums.
  static constexpr std::int64_t kParts = 256;

  // REQUIRES: Takes(channels, pixels).
  struct Images {
    std::int64_t count, pixels, channels;
    double eps;
    bool has_silu;
  };
  // `room`: RoomBytes(), at a multiple of 8 bytes; the others at multiples of 16. `out` may be `x`.
  struct Arguments {
    CuAddress x, weight, bias, out, room;
  };

  // Compiles them for the device. Throws CudaError.
  explicit GroupNormKernels(std::shared_ptr<const CudaDevice> device);

  static bool Takes(std::int64_t channels, std::int64_t pixels) {
    return channels % 128 == 0 && 2048 % channels == 0 && pixels >= 2 * kParts;
  }
  static std::int64_t RoomBytes(std::int64_t images) { return images * (kParts + 1) * kGroups * 8; }
  // Begins all three and returns. Throws CudaError.
  void Run(const Images& images, const Arguments& arguments, CuStream stream) const;

 private:
  KernelModule module_;
  CuFunction moments_;
  CuFunction scales_;
  CuFunction apply_;
};

}  // namespace hearth

#endif  // HEARTH_DEVICE_GROUP_NORM_KERNELS_H_
