#ifndef HEARTH_NATIVE_PYTHON_MODEL_H_
#define HEARTH_NATIVE_PYTHON_MODEL_H_

#include <pybind11/pybind11.h>

#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "model/model_loader.h"
#include "model/resident.h"
#include "model/tier_bytes.h"

namespace hearth {

// A Python object that may be copied and destroyed on any thread, with or without the GIL. After
// the interpreter has begun to end it is leaked: the GIL can no longer be had.
std::shared_ptr<pybind11::object> ShareAcrossThreads(pybind11::object object);

// Throws TypeError for a keyword that is not among `known`: a misspelt one must not be ignored.
void RequireKnown(const pybind11::kwargs& given, std::initializer_list<std::string_view> known);

TierBytes TierBytesFromDict(const pybind11::dict& bytes);
pybind11::dict ToDict(const TierBytes& bytes);

// What a Python loader raised, BaseExceptions such as ComfyUI's interrupt included. It can be
// thrown again for every waiter, which pybind11's own error_already_set cannot.
class PythonLoadError final : public Error {
 public:
  PythonLoadError(std::shared_ptr<pybind11::object> value, const std::string& message)
      : Error(message), value_(std::move(value)) {}
  const pybind11::object& value() const { return *value_; }  // REQUIRES: the GIL

 private:
  std::shared_ptr<pybind11::object> value_;
};

// A resident whose bytes belong to a Python object with release(), demote(), reclaim() and
// free_lingering().
class PythonResident final : public Resident {
 public:
  explicit PythonResident(std::shared_ptr<pybind11::object> value) : value_(std::move(value)) {}
  const pybind11::object& value() const { return *value_; }  // REQUIRES: the GIL

  ReleaseOutcome Release() noexcept override;
  std::optional<TierBytes> Demote() noexcept override;
  bool Reclaim() noexcept override;
  ReleaseOutcome FreeLingering() noexcept override;

 private:
  ReleaseOutcome Call(const char* method) noexcept;

  std::shared_ptr<pybind11::object> value_;
};

// Calls a Python function `() -> (resident, bytes)`.
class PythonLoader final : public ModelLoader {
 public:
  explicit PythonLoader(pybind11::function load) : load_(ShareAcrossThreads(std::move(load))) {}
  LoadedModel Load(const ModelKey& key) override;

 private:
  std::shared_ptr<pybind11::object> load_;
};

}  // namespace hearth

#endif  // HEARTH_NATIVE_PYTHON_MODEL_H_
