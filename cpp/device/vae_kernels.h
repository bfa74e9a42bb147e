#ifndef HEARTH_DEVICE_VAE_KERNELS_H_
#define HEARTH_DEVICE_VAE_KERNELS_H_

#include <cstdint>
#include <memory>
#include <string>

#include "device/kernel_module.h"

namespace hearth {

// The text that is compiled; what each kernel computes is said there.
const std::string& VaeKernelText();

// What a VAE does between its convolutions, on one device, over images in bfloat16 whose channels
// lie together. Every call begins its kernels and returns; addresses are at multiples of 16 bytes.
// Immutable; any thread, but a stream belongs to one at a time.
class VaeKernels {
 public:
  static constexpr std::int64_t kGroups = 32;
  // Into how many parts an image is cut for the sums.
  static constexpr std::int64_t kParts = 256;
  // The most rows that Double() takes, of all images.
  static constexpr std::int64_t kMaxRows = 65535;

  // Compiles them for the device. Throws CudaError.
  explicit VaeKernels(std::shared_ptr<const CudaDevice> device);

  // GroupNorm over 32 groups, and SiLU. REQUIRES: TakesNorm(channels, pixels).
  struct Images {
    std::int64_t count, pixels, channels;
    double eps;
    bool has_silu;
  };
  // `added`: a bias that `x` is still without, 0 for none. `room`: RoomBytes(). `out` may be `x`.
  struct NormArguments {
    CuAddress x, added, weight, bias, out, room;
  };
  static bool TakesNorm(std::int64_t channels, std::int64_t pixels) {
    return channels % 128 == 0 && TakesSum(channels) && pixels >= 2 * kParts;
  }
  static std::int64_t RoomBytes(std::int64_t images) { return images * (kParts + 1) * kGroups * 8; }
  // Throws CudaError, as do the others.
  void Norm(const Images& images, const NormArguments& arguments, CuStream stream) const;

  // out = x + y + bias + second, of all pixels; 0 for what is none, but `y`. `out` may be `x` or
  // `y`.
  struct SumArguments {
    CuAddress x, y, bias, second, out;
  };
  static bool TakesSum(std::int64_t channels) { return channels % 8 == 0 && 2048 % channels == 0; }
  // REQUIRES: TakesSum(channels).
  void Sum(std::int64_t pixels, std::int64_t channels, const SumArguments& arguments,
           CuStream stream) const;

  // Every pixel four times. REQUIRES: TakesSum(channels), at most kMaxRows.
  struct Rows {
    std::int64_t count, width, channels;
  };
  void Double(const Rows& rows, CuAddress x, CuAddress out, CuStream stream) const;

  // out = softmax(scores * scale) by rows, of float32. REQUIRES: a multiple of 8 columns.
  struct Scores {
    std::int64_t rows, columns;
    double scale;
  };
  void Softmax(const Scores& scores, CuAddress from, CuAddress out, CuStream stream) const;

 private:
  KernelModule module_;
  CuFunction moments_;
  CuFunction scales_;
  CuFunction apply_;
  CuFunction sum_;
  CuFunction double_;
  CuFunction softmax_;
};

}  // namespace hearth

#endif  // HEARTH_DEVICE_VAE_KERNELS_H_
