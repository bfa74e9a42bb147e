#ifndef HEARTH_ZIMAGE_FUSED_STEPS_H_
#define HEARTH_ZIMAGE_FUSED_STEPS_H_

#include <ATen/core/Tensor.h>

#include <memory>
#include <utility>

#include "device/row_quantiser.h"
#include "device/transformer_kernels.h"
#include "zimage/linear.h"
#include "zimage/matrix_products.h"
#include "zimage/norm.h"
#include "zimage/rope.h"

namespace hearth {

// What a block does between its matrix products. With kernels, in bfloat16 on their device, each
// step is one pass over memory that rounds once; otherwise it is tensor operations, which round
// where ComfyUI's do. Immutable; any thread.
class FusedSteps {
 public:
  FusedSteps() = default;
  // `products`: of the same device; null: torch's.
  explicit FusedSteps(std::shared_ptr<const TransformerKernels> kernels,
                      std::shared_ptr<const MatrixProducts> products = nullptr)
      : kernels_(std::move(kernels)), products_(std::move(products)) {}
  // The same with matrix products in 8-bit floats. REQUIRES: kernels, of the same device.
  FusedSteps WithShortProducts(std::shared_ptr<const RowQuantiser> quantiser) const;

  bool has_short_products() const { return quantiser_ != nullptr; }
  // What goes into one or more matrices: quantised for short products.
  MatrixInput Input(const at::Tensor& x) const;

  at::Tensor Product(const Linear& matrix, const MatrixInput& x) const;

  // How a branch goes back into the stream it came from: normed, then times `gate`.
  struct Return {
    const RmsNorm* norm;  // null: as it is
    at::Tensor gate;      // undefined: 1
  };
  // How the stream goes into the next branch: normed, then times `scale`.
  struct Entry {
    const RmsNorm& norm;
    at::Tensor scale;  // undefined: 1
  };
  struct Sum {
    at::Tensor stream;
    at::Tensor branch;  // what goes into the next one; undefined where there is none
  };

  at::Tensor Enter(const at::Tensor& stream, const Entry& entry) const;
  // `next`: null behind the last branch.
  Sum Add(const at::Tensor& stream, const at::Tensor& branch, const Return& way,
          const Entry* next) const;

  // Queries or keys: batch x tokens x heads x head width, whose own memory may be overwritten.
  struct Heads {
    at::Tensor values;
    const RmsNorm& norm;
  };
  struct Turned {
    at::Tensor queries;  // batch x heads x tokens x head width
    at::Tensor keys;
  };
  // Each normed by head and turned by its token's angles, in float32, rounded once.
  Turned NormAndTurn(const Heads& queries, const Heads& keys, const RopeTable& rope) const;

  struct Attended {
    at::Tensor queries;
    at::Tensor keys;
    at::Tensor values;
    bool is_causal;
  };
  // Softmax of the scaled products of queries and keys, times the values; each batch x heads x
  // tokens x head width, and several heads of queries may share one of the others.
  at::Tensor Attend(const Attended& parts) const;
  // silu(gate) * up; the memory of `gate` may be overwritten.
  at::Tensor SiluMul(const at::Tensor& gate, const at::Tensor& up) const;

 private:
  bool TakesRows(const at::Tensor& x, const RmsNorm& norm) const;
  bool TakesHeads(const Heads& heads, const RopeTable& rope) const;
  void Launch(const at::Tensor& stream, const at::Tensor& branch, const Return& way,
              const Entry* next, const Sum& out) const;

  std::shared_ptr<const TransformerKernels> kernels_;  // null: tensor operations
  std::shared_ptr<const MatrixProducts> products_;     // null: torch's
  std::shared_ptr<const RowQuantiser> quantiser_;      // null: products of the inputs' own type
};

}  // namespace hearth

#endif  // HEARTH_ZIMAGE_FUSED_STEPS_H_
