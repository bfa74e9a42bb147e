#ifndef HEARTH_SAMPLING_SIGMAS_H_
#define HEARTH_SAMPLING_SIGMAS_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace hearth {

// How strong the noise is: on the host to decide by, and where the schedule lies to compute with.
struct NoiseLevel {
  double value;
  at::Tensor tensor;  // no dimensions; the schedule's dtype and device
};

// A noise schedule, noisiest first, with the host's copy of it: made once before a loop, so that no
// step has to wait for the device to decide anything.
class Sigmas {
 public:
  // Waits for the device once, unless the schedule lies in host memory. Throws Error unless the
  // tensor has one dimension.
  explicit Sigmas(at::Tensor tensor);
  // With numbers that are known already; waits for nothing. REQUIRES: one for each of the row.
  Sigmas(at::Tensor tensor, std::vector<double> values);

  // One less than there are levels; 0 for an empty schedule.
  std::int64_t steps() const;
  // REQUIRES: 0 <= index < number of levels; also below.
  NoiseLevel at(std::int64_t index) const;
  double value(std::int64_t index) const { return values_[static_cast<std::size_t>(index)]; }

  const at::Tensor& tensor() const { return tensor_; }
  const std::vector<double>& values() const { return values_; }

 private:
  at::Tensor tensor_;
  std::vector<double> values_;
};

// All but the first, and all but the last, of a row of numbers.
at::Tensor Tail(const at::Tensor& row);
at::Tensor Init(const at::Tensor& row);

}  // namespace hearth

#endif  // HEARTH_SAMPLING_SIGMAS_H_
