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
    CuAddress x, branch, after, gate, before, scale, sum,
        out;  // after, gate, scale, out: 0 for none
  };
  // `count` heads of kHeadWidth side by side in rows that begin every `stride` elements. REQUIRES:
  // addresses at multiples of 16 bytes, `stride` a multiple of 8.
  struct Heads {
    CuAddress first, weight;
    int stride, count;
  };
  // tokens x (kHeadWidth / 2) of float32, for pairs of neighbours or of what is half a head apart.
  // REQUIRES: addresses at multiples of 16 bytes.
  struct Angles {
    CuAddress cosines, sines;
    int tokens;
    int are_halves;
  };
  // Each `tokens` rows share one set of angles.
  struct HeadNormTurnArguments {
    std::int64_t rows;
    Heads queries, keys;
    Angles angles;
    double eps;
  };

  // Compiles them for the device. Throws CudaError.
  explicit TransformerKernels(std::shared_ptr<const CudaDevice> device);

  // 90 for 9.0, Hopper.
  int compute_capability() const { return compute_capability_; }

  // Each throws CudaError.
  void NormScale(const Rows& rows, const NormScaleArguments& arguments, CuStream stream) const;
  void GateAddNorm(const Rows& rows, const GateAddNormArguments& arguments, CuStream stream) const;
  void HeadNormTurn(const HeadNormTurnArguments& arguments, CuStream stream) const;
  // REQUIRES: a multiple of 8 elements, addresses at multiples of 16 bytes.
  void SiluMul(CuAddress gate, CuAddress up, std::int64_t elements, CuStream stream) const;

 private:
  int compute_capability_;
  std::int64_t blocks_at_once_;  // of GateAddNorm, on the whole device
  KernelModule module_;
  CuFunction norm_scale_;
  CuFunction gate_add_norm_;
  CuFunction head_norm_turn_;
  CuFunction silu_mul_;
};

}  // namespace hearth

#endif  // HEARTH_DEVICE_TRANSFORMER_KERNELS_H_
