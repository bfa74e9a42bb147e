#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>

#include "native/bind.h"
#include "runtime/make_keeper.h"

namespace py = pybind11;

namespace hearth {

void BindKeeper(py::module_& module) {
  using namespace py::literals;
  using Released = py::call_guard<py::gil_scoped_release>;
  py::class_<KeeperServer>(module, "Keeper",
                           "Keeps files' pages locked and serves its socket; for one thread.")
      .def(py::init([](const std::filesystem::path& folder, std::optional<std::uint64_t> max_bytes,
                       std::uint64_t keep_free_bytes) {
             return MakeKeeper(folder.string(), {max_bytes, keep_free_bytes});
           }),
           "folder"_a, py::kw_only(), "max_bytes"_a = py::none(), "keep_free_bytes"_a = 0)
      .def(
          "step",
          [](KeeperServer& self, double seconds) {
            return self.Step(std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1e3)));
          },
          "seconds"_a, Released(),
          "Serves and locks a little, waiting at most so long; False once it was asked to stop.")
      .def_property_readonly("wake_descriptor", &KeeperServer::wake_descriptor,
                             "A byte written here ends the wait of step().");
}

}  // namespace hearth
