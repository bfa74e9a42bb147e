#include "native/python_model.h"

#include <algorithm>
#include <string>
#include <utility>

namespace py = pybind11;

namespace hearth {
namespace {

bool InterpreterIsEnding() {
#if PY_VERSION_HEX >= 0x030D0000
  return !Py_IsInitialized() || Py_IsFinalizing();
#else
  return !Py_IsInitialized() || _Py_IsFinalizing();
#endif
}

std::uint64_t Field(const py::dict& bytes, const char* name) {
  return bytes.contains(name) ? bytes[name].cast<std::uint64_t>() : 0;
}

// Reports an error that has nobody to go to, as Python does for destructors.
void Discard(py::error_already_set& error, const char* where) {
  error.discard_as_unraisable(where);
}

}  // namespace

std::shared_ptr<py::object> ShareAcrossThreads(py::object object) {
  return {new py::object(std::move(object)), [](py::object* held) {
            if (InterpreterIsEnding()) {
              held->release();  // leaked on purpose: no GIL to drop the reference under
              delete held;
              return;
            }
            py::gil_scoped_acquire gil;
            delete held;
          }};
}

void RequireKnown(const py::kwargs& given, std::initializer_list<std::string_view> known) {
  for (const auto& item : given) {
    const std::string name = py::str(item.first);
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      throw py::type_error("unexpected keyword argument '" + name + "'");
    }
  }
}

TierBytes TierBytesFromDict(const py::dict& bytes) {
  return {Field(bytes, "mapped"), Field(bytes, "anonymous"), Field(bytes, "pinned"),
          Field(bytes, "device")};
}

py::dict ToDict(const TierBytes& bytes) {
  py::dict dict;
  dict["mapped"] = bytes.mapped;
  dict["anonymous"] = bytes.anonymous;
  dict["pinned"] = bytes.pinned;
  dict["device"] = bytes.device;
  return dict;
}

ReleaseOutcome PythonResident::Call(const char* method) noexcept {
  if (InterpreterIsEnding()) return {};
  py::gil_scoped_acquire gil;
  try {
    if (!py::hasattr(*value_, method)) return {};
    const py::object left = value_->attr(method)();
    if (left.is_none()) return {};
    return {TierBytesFromDict(py::dict(left)), true};
  } catch (py::error_already_set& error) {
    Discard(error, method);
  } catch (const py::cast_error& error) {
    PyErr_SetString(PyExc_TypeError, error.what());
    PyErr_WriteUnraisable(value_->ptr());
  }
  return {};
}

ReleaseOutcome PythonResident::Release() noexcept { return Call("release"); }

ReleaseOutcome PythonResident::FreeLingering() noexcept { return Call("free_lingering"); }

std::optional<TierBytes> PythonResident::Demote() noexcept {
  const ReleaseOutcome outcome = Call("demote");
  return outcome.is_lingering ? std::optional(outcome.lingering) : std::nullopt;
}

bool PythonResident::Reclaim() noexcept {
  if (InterpreterIsEnding()) return false;
  py::gil_scoped_acquire gil;
  try {
    return py::hasattr(*value_, "reclaim") && value_->attr("reclaim")().cast<bool>();
  } catch (py::error_already_set& error) {
    Discard(error, "reclaim");
  } catch (const py::cast_error& error) {
    PyErr_SetString(PyExc_TypeError, error.what());
    PyErr_WriteUnraisable(value_->ptr());
  }
  return false;
}

LoadedModel PythonLoader::Load(const ModelKey&) {
  py::gil_scoped_acquire gil;
  try {
    const py::tuple result = (*load_)();
    if (result.size() != 2) throw py::value_error("a loader returns (resident, bytes)");
    const TierBytes bytes = TierBytesFromDict(py::dict(result[1]));
    return {std::make_unique<PythonResident>(ShareAcrossThreads(result[0])), bytes};
  } catch (py::error_already_set& error) {
    const std::string message = py::str(error.value());
    const std::string type = py::str(py::type::of(error.value()).attr("__name__"));
    throw PythonLoadError(ShareAcrossThreads(error.value()), type + ": " + message);
  }
}

}  // namespace hearth
