#ifndef HEARTH_WEIGHTS_CHECKPOINT_TENSORS_H_
#define HEARTH_WEIGHTS_CHECKPOINT_TENSORS_H_

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "hosttier/host_tier.h"

namespace hearth {

// The tensors of one model, by the names of its file. Immutable; any thread; move-only.
//
// Of a held file they are views: the bytes are the mapping's own, nothing is copied, and each
// tensor (and whatever is viewed from it) keeps the file held, also when this object is gone. They
// are read-only: a write to one ends the process. A tensor whose bytes do not start at a multiple
// of its element's size is the exception; no kernel may read it in place, so it is a copy.
class CheckpointTensors {
 public:
  using Map = std::map<std::string, at::Tensor, std::less<>>;

  // One file, or the shards of one model. Reads the headers only. Throws CheckpointCorrupt for a
  // bad header and for two shards with the same tensor, Error for a file that could not be mapped.
  // REQUIRES: files is not empty.
  explicit CheckpointTensors(std::vector<HostFileHandle> files);
  // Tensors that somebody else owns. `name` is for messages and is the identity: two different sets
  // of weights must not share it.
  CheckpointTensors(std::string name, Map tensors);

  bool Has(std::string_view name) const { return tensors_.find(name) != tensors_.end(); }
  // An undefined tensor when there is none of this name. Throws Error for elements that ATen lacks.
  at::Tensor Find(std::string_view name) const;
  // One of these tensors on a device: as tensor.to(device), in as many copies as the driver takes
  // where the file is registered in slices. On a CPU it is the tensor itself.
  at::Tensor PlacedOn(const at::Device& device, const at::Tensor& tensor) const;
  // Undefined tensors stand for those whose elements ATen lacks.
  const Map& all() const { return tensors_; }

  // Throws CheckpointCorrupt when the files are no longer what they were when they were held: then
  // what was computed since is not to be trusted. To be asked after work, before its result is
  // used.
  void RequireSound() const;

  const std::string& name() const { return name_; }  // for people: no folder
  // Equal for equal bytes only.
  const std::string& identity() const { return identity_; }

 private:
  void Add(const HostFileHandle& file);

  std::string name_;
  std::string identity_;
  std::vector<HostFileHandle> files_;
  Map tensors_;
};

}  // namespace hearth

#endif  // HEARTH_WEIGHTS_CHECKPOINT_TENSORS_H_
