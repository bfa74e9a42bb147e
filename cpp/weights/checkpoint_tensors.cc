#include "weights/checkpoint_tensors.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <utility>

#include "base/error.h"
#include "checkpoint/safetensors_index.h"
#include "weights/copy_sizes.h"
#include "weights/scalar_type.h"

namespace hearth {
namespace {

// The header is read from the mapping itself, not from the path: another file may have taken the
// name since this one was held.
class MappedSource final : public ByteSource {
 public:
  explicit MappedSource(const MappedFile& file) : file_(file) {}
  const std::string& name() const override { return file_.name(); }
  std::uint64_t size() const override { return file_.size(); }
  ReadOutcome ReadAt(std::uint64_t offset, char* into, std::size_t size) const override {
    if (offset >= file_.size()) return {};
    const std::uint64_t count = std::min<std::uint64_t>(size, file_.size() - offset);
    std::memcpy(into, file_.address() + offset, count);
    return {.bytes = static_cast<std::size_t>(count)};
  }

 private:
  const MappedFile& file_;
};

std::vector<std::int64_t> ShapeOf(const TensorInfo& info) {
  std::vector<std::int64_t> shape(info.shape.begin(), info.shape.end());
  // ATen's element of this type holds two numbers.
  if (info.dtype == Dtype::kF4 && !shape.empty()) shape.back() /= 2;
  return shape;
}

at::Tensor TensorAt(const HostFileHandle& file, const TensorInfo& info) {
  const std::optional<at::ScalarType> type = ScalarTypeOf(info.dtype);
  if (!type) return {};
  const std::vector<std::int64_t> shape = ShapeOf(info);
  if (info.size == 0) return at::empty(shape, *type);
  // ATen knows no tensor over constant bytes; the header tells callers not to write.
  auto* const bytes = const_cast<std::byte*>(file->file().address() + info.offset);
  if (reinterpret_cast<std::uintptr_t>(bytes) % at::elementSize(*type) != 0) {
    at::Tensor copy = at::empty(shape, *type);
    std::memcpy(copy.mutable_data_ptr(), bytes, info.size);
    return copy;
  }
  const auto keep = std::make_shared<const HostFileHandle>(file.Duplicate());
  return at::from_blob(bytes, shape, [keep](void*) {}, at::TensorOptions(*type));
}

at::Tensor CopiedInPieces(const at::Tensor& tensor, const at::Device& device,
                          const std::vector<std::uint64_t>& sizes) {
  const auto count = static_cast<std::int64_t>(tensor.nbytes());
  const at::Tensor from = at::from_blob(const_cast<void*>(tensor.const_data_ptr()), {count},
                                        at::TensorOptions(at::kByte));
  const at::Tensor to = at::empty({count}, at::TensorOptions(at::kByte).device(device));
  std::int64_t offset = 0;
  for (const std::uint64_t size : sizes) {
    const auto length = static_cast<std::int64_t>(size);
    to.narrow(0, offset, length).copy_(from.narrow(0, offset, length));
    offset += length;
  }
  return to.view(tensor.scalar_type()).view(tensor.sizes());
}

std::string IdentityOf(const HostFileIdentity& file) {
  return std::to_string(file.device) + ":" + std::to_string(file.inode) + ":" +
         std::to_string(file.size) + ":" + std::to_string(file.mtime_ns);
}

}  // namespace

CheckpointTensors::CheckpointTensors(std::vector<HostFileHandle> files) : files_(std::move(files)) {
  if (files_.empty()) throw Error("A model is in one file at least, and none was given.");
  name_ = files_.front()->file().name();
  for (const HostFileHandle& file : files_) Add(file);
  if (files_.size() > 1) name_ += " and " + std::to_string(files_.size() - 1) + " more";
}

CheckpointTensors::CheckpointTensors(std::string name, Map tensors)
    : name_(std::move(name)), identity_(name_), tensors_(std::move(tensors)) {}

void CheckpointTensors::Add(const HostFileHandle& file) {
  const MappedFile& mapped = file->file();
  if (mapped.address() == nullptr) {
    throw Error(mapped.name() + " could not be mapped into memory; hearth's engine needs that.");
  }
  file->RequireSound();
  const SafetensorsIndex index = SafetensorsIndex::Read(MappedSource(mapped));
  file->RequireSound();
  for (const TensorInfo& info : index.tensors()) {
    if (tensors_.emplace(info.name, TensorAt(file, info)).second) continue;
    throw CheckpointCorrupt(mapped.name(), info.offset,
                            mapped.name() + " has the tensor \"" + info.name +
                                "\", which another shard has too. Are these shards of one model?",
                            info.name);
  }
  identity_ += (identity_.empty() ? "" : "+") + IdentityOf(mapped.identity());
}

at::Tensor CheckpointTensors::PlacedOn(const at::Device& device, const at::Tensor& tensor) const {
  if (device.is_cpu()) return tensor.to(device);
  const auto* const bytes = static_cast<const std::byte*>(tensor.const_data_ptr());
  for (const HostFileHandle& file : files_) {
    const std::byte* const begin = file->file().address();
    if (std::less<>()(bytes, begin) || !std::less<>()(bytes, begin + file->file().size())) continue;
    const auto offset = static_cast<std::uint64_t>(bytes - begin);
    const std::vector<std::uint64_t> sizes = CopySizes(*file, offset, tensor.nbytes());
    if (sizes.size() > 1) return CopiedInPieces(tensor, device, sizes);
  }
  return tensor.to(device);
}

void CheckpointTensors::RequireSound() const {
  for (const HostFileHandle& file : files_) file->RequireSound();
}

at::Tensor CheckpointTensors::Find(std::string_view name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) return {};
  if (!found->second.defined()) {
    throw Error("The tensor \"" + found->first + "\" of " + name_ +
                " has 6-bit elements, with which torch cannot compute.");
  }
  return found->second;
}

}  // namespace hearth
