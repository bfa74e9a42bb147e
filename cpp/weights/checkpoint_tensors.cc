#include "weights/checkpoint_tensors.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>

#include "base/error.h"
#include "checkpoint/safetensors_index.h"
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
