#include "sampling/sigmas.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/error.h"

namespace hearth {

Sigmas::Sigmas(at::Tensor tensor) : tensor_(std::move(tensor)) {
  if (tensor_.dim() != 1) {
    throw Error("A noise schedule is a row of numbers; this one has " +
                std::to_string(tensor_.dim()) + " dimensions. Give the sigmas as a 1-D tensor.");
  }
  // Widened on the host: not every device has float64.
  const at::Tensor host = tensor_.to(at::Device(at::kCPU)).to(at::kDouble).contiguous();
  const double* first = host.const_data_ptr<double>();
  values_.assign(first, first + host.numel());
}

Sigmas::Sigmas(at::Tensor tensor, std::vector<double> values)
    : tensor_(std::move(tensor)), values_(std::move(values)) {}

std::int64_t Sigmas::steps() const {
  return std::max<std::int64_t>(static_cast<std::int64_t>(values_.size()) - 1, 0);
}

NoiseLevel Sigmas::at(std::int64_t index) const { return {value(index), tensor_.select(0, index)}; }

at::Tensor Tail(const at::Tensor& row) { return row.slice(0, 1); }

at::Tensor Init(const at::Tensor& row) { return row.slice(0, 0, row.size(0) - 1); }

}  // namespace hearth
