#ifndef HEARTH_WEIGHTS_WEIGHT_SCOPE_H_
#define HEARTH_WEIGHTS_WEIGHT_SCOPE_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weights/checkpoint_tensors.h"

namespace hearth {

// A size that may be anything, in the shape that is asked for.
constexpr std::int64_t kAnySize = -1;

// The weights below one prefix of a checkpoint, where a part of a model takes what it needs. The
// first thing that it does not find ends the load with an error that names it. A view: the
// checkpoint must outlive it; the tensors it gives need not.
class WeightScope {
 public:
  struct Placement {
    at::Device device;
    at::ScalarType compute_type;
  };
  // `wanted` is what the file ought to be, with its article: "a Z-Image transformer".
  WeightScope(const CheckpointTensors& tensors, std::string wanted, const Placement& placement)
      : tensors_(&tensors), wanted_(std::move(wanted)), placement_(placement) {}

  // The weights below `part` within this scope; `part` ends with its dot.
  WeightScope Under(std::string_view part) const;
  // The first of `parts` below which there is a tensor `probe`; the first of all when there is
  // none, so that what is missing is named as the most common layout names it. REQUIRES: parts not
  // empty.
  WeightScope UnderFirst(const std::vector<std::string>& parts, std::string_view probe) const;

  bool Has(std::string_view name) const { return tensors_->Has(prefix_ + std::string(name)); }
  // On the device; there in the compute type where that is the shorter one, as a copy it is anyway.
  // Throws CheckpointMismatch when it is missing or its shape is another one.
  at::Tensor Get(std::string_view name, const std::vector<std::int64_t>& shape) const;
  // An undefined tensor when there is none of this name; otherwise as above.
  at::Tensor GetIfThere(std::string_view name, const std::vector<std::int64_t>& shape) const;
  // How many dimensions it has; -1 when there is none of this name.
  std::int64_t Rank(std::string_view name) const;
  // How many of `stem0.`, `stem1.` … there are, without a gap: counts a model's layers.
  std::int64_t Count(std::string_view stem) const;

  // Throws CheckpointMismatch when weights in here come with scales of their own: read without
  // those they would be other numbers.
  void RequireUnquantised() const;
  // Throws CheckpointMismatch: the model cannot be made of this file, because of `reason`.
  [[noreturn]] void Refuse(std::string_view name, const std::string& reason) const;

 private:
  const CheckpointTensors* tensors_;
  std::string wanted_;
  Placement placement_;
  std::string prefix_;
};

}  // namespace hearth

#endif  // HEARTH_WEIGHTS_WEIGHT_SCOPE_H_
