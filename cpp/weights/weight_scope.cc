#include "weights/weight_scope.h"

#include <algorithm>

#include "base/error.h"
#include "weights/file_kind.h"

namespace hearth {
namespace {

std::string ShapeText(at::IntArrayRef shape) {
  std::string text;
  for (const std::int64_t size : shape) {
    text += (text.empty() ? "" : " x ") + (size == kAnySize ? "any" : std::to_string(size));
  }
  return text.empty() ? "one number" : text;
}

bool Fits(at::IntArrayRef shape, const std::vector<std::int64_t>& asked) {
  return std::equal(
      shape.begin(), shape.end(), asked.begin(), asked.end(),
      [](std::int64_t is, std::int64_t want) { return want == kAnySize || is == want; });
}

}  // namespace

WeightScope WeightScope::Under(std::string_view part) const {
  WeightScope scope = *this;
  scope.prefix_ += part;
  return scope;
}

WeightScope WeightScope::UnderFirst(const std::vector<std::string>& parts,
                                    std::string_view probe) const {
  for (const std::string& part : parts) {
    WeightScope scope = Under(part);
    if (scope.Has(probe)) return scope;
  }
  return Under(parts.front());
}

at::Tensor WeightScope::Get(std::string_view name, const std::vector<std::int64_t>& shape) const {
  at::Tensor tensor = GetIfThere(name, shape);
  if (!tensor.defined()) Refuse(name, "it has no tensor \"" + prefix_ + std::string(name) + "\"");
  return tensor;
}

at::Tensor WeightScope::GetIfThere(std::string_view name,
                                   const std::vector<std::int64_t>& shape) const {
  const at::Tensor tensor = tensors_->Find(prefix_ + std::string(name));
  if (!tensor.defined()) return tensor;
  if (!Fits(tensor.sizes(), shape)) {
    Refuse(name, "its tensor \"" + prefix_ + std::string(name) + "\" is " +
                     ShapeText(tensor.sizes()) + " and should be " + ShapeText(shape));
  }
  const at::Device device = placement_.device;
  const at::ScalarType type = placement_.compute_type;
  const bool is_longer =
      at::isFloatingType(tensor.scalar_type()) && tensor.dtype().itemsize() > at::elementSize(type);
  // On a CPU the tensor is a view of the file, and a shorter copy would be memory more.
  if (device.is_cpu() || !is_longer) return tensors_->PlacedOn(device, tensor);
  return tensors_->PlacedOn(device, tensor).to(type);
}

std::int64_t WeightScope::Rank(std::string_view name) const {
  const at::Tensor tensor = tensors_->Find(prefix_ + std::string(name));
  return tensor.defined() ? tensor.dim() : -1;
}

std::int64_t WeightScope::Count(std::string_view stem) const {
  std::int64_t count = 0;
  const auto& all = tensors_->all();
  for (;; ++count) {
    const std::string start = prefix_ + std::string(stem) + std::to_string(count) + ".";
    const auto next = all.lower_bound(start);
    if (next == all.end() || !next->first.starts_with(start)) return count;
  }
}

void WeightScope::RequireUnquantised() const {
  const auto& all = tensors_->all();
  for (auto next = all.lower_bound(prefix_); next != all.end(); ++next) {
    const std::string& name = next->first;
    if (!name.starts_with(prefix_)) return;
    for (const char* const scale : {".weight_scale", ".scale_weight", ".comfy_quant"}) {
      if (!name.ends_with(scale)) continue;
      Refuse(name.substr(prefix_.size()), "its weights are quantised, with \"" + name + "\"");
    }
  }
}

void WeightScope::Refuse(std::string_view name, const std::string& reason) const {
  const std::string kind = LooksLike(*tensors_);
  std::string message = tensors_->name() + " cannot be used as " + wanted_ + ": " + reason + ". ";
  message += kind.empty() ? "It looks like no kind of file known to hearth."
                          : "The file looks like " + kind + ".";
  throw CheckpointMismatch(message + " Choose another file, or fetch this one again.",
                           prefix_ + std::string(name), kind);
}

}  // namespace hearth
