#ifndef HEARTH_DEVICE_TRANSFORMER_KERNELS_H_
#define HEARTH_DEVICE_TRANSFORMER_KERNELS_H_

#include <cstdint>
#include <memory>
#include <string>

#include "device/kernel_module.h"

namespace hearth {

// The text that is compiled; what each kernel computes is said there.
const std::string& TransformerKernelText();

// The fused steps of a transformer on one device, over bfloat16 in its memory. Every launch returns
// at once and runs in order on its stream. Immutable; any thread, but a stream belongs to one at a
// time.
class TransformerKernels {
 public:
  // What a thread block can hold of a row.
  static constexpr std::int64_t kMaxWidth = 8192;
  static constexpr std::int64_t kHeadWidth = 128;

  // Rows of `width` elements, one behind the other. REQUIRES: a multiple of 8, at most kMaxWidth;
  // addresses at multiples of 16 bytes.
  struct Rows {
    std::int64_t count;
    std::int64_t width;
    double eps;
  };
  struct NormScaleArguments {
    CuAddress x, weight, scale, out;  // scale: 0 for none
  };
  struct GateAddNormArguments {
    CuAddress x, branch, after, gate, before, scale, sum, out;  // gate, scale, out: 0 for none
  };
  // Heads of kHeadWidth within rows that begin every `stride` elements; `tokens` rows share one set
  // of angles. REQUIRES: addresses at multiples of 8 bytes, `stride` a multiple of 4.
  struct Heads {
    std::int64_t rows, stride, count, tokens;
    double eps;
  };
  struct HeadNormTurnArguments {
    CuAddress x, weight, cosines, sines;
  };

  // Compiles them for the device. Throws CudaError.
  explicit TransformerKernels(std::shared_ptr<const CudaDevice> device);

  // Each throws CudaError.
  void NormScale(const Rows& rows, const NormScaleArguments& arguments, CuStream stream) const;
  void GateAddNorm(const Rows& rows, const GateAddNormArguments& arguments, CuStream stream) const;
  void HeadNormTurn(const Heads& heads, const HeadNormTurnArguments& arguments,
                    CuStream stream) const;
  // REQUIRES: a multiple of 8 elements, addresses at multiples of 16 bytes.
  void SiluMul(CuAddress gate, CuAddress up, std::int64_t elements, CuStream stream) const;

 private:
  KernelModule module_;
  CuFunction norm_scale_;
  CuFunction gate_add_norm_;
  CuFunction head_norm_turn_;
  CuFunction silu_mul_;
};

}  // namespace hearth

#endif  // HEARTH_DEVICE_TRANSFORMER_KERNELS_H_
