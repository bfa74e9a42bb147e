#ifndef HEARTH_ZIMAGE_MATRIX_PRODUCTS_H_
#define HEARTH_ZIMAGE_MATRIX_PRODUCTS_H_

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/mutex.h"
#include "device/product_library.h"

namespace hearth {

// x W^T in the fastest of a library's ways, which is not always the one that it guesses. They are
// tried when a shape is met for the first time, some ten milliseconds; one that would change a
// single bit of the product is not taken, so the choice is never seen in an image. Thread-safe.
class MatrixProducts {
 public:
  // Milliseconds that work on a tensor's device takes which this function begins.
  using Timer = std::function<double(const at::Tensor& on, const std::function<void()>& work)>;

  // `library` may be null: it takes nothing then.
  explicit MatrixProducts(std::shared_ptr<const ProductLibrary> library,
                          Timer timer = &MatrixProducts::DeviceMilliseconds);

  // Whether the product is here better than at::linear(): large, bfloat16, plain.
  bool Takes(const at::Tensor& x, const at::Tensor& weight) const;
  // ... x columns of x, rows x columns of the weight. Nothing: the library does not compute it.
  // REQUIRES: Takes().
  std::optional<at::Tensor> Multiply(const at::Tensor& x, const at::Tensor& weight) const
      HEARTH_EXCLUDES(mutex_);

  static double DeviceMilliseconds(const at::Tensor& on, const std::function<void()>& work);

 private:
  using Choice = std::optional<ProductAlgorithm>;

  struct Trial {
    ProductShape shape;
    at::Tensor x;
    at::Tensor weight;
  };
  Choice Choose(const Trial& trial) const;
  Choice Fastest(const Trial& trial, const std::vector<ProductAlgorithm>& equal) const;
  // Whether it was computed.
  bool Compute(const Trial& trial, const ProductAlgorithm& algorithm, const at::Tensor& out) const;

  std::shared_ptr<const ProductLibrary> library_;
  Timer timer_;
  mutable Mutex mutex_;
  mutable std::map<ProductShape, Choice> choices_ HEARTH_GUARDED_BY(mutex_);
};

}  // namespace hearth

#endif  // HEARTH_ZIMAGE_MATRIX_PRODUCTS_H_
