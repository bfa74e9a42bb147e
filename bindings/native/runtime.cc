#include "runtime/runtime.h"

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "config/config_reader.h"
#include "native/bind.h"
#include "runtime/global_runtime.h"

namespace py = pybind11;

namespace hearth {
namespace {

using Released = py::call_guard<py::gil_scoped_release>;

py::list ToList(const std::vector<ConfigFault>& faults) {
  using namespace py::literals;
  py::list list;
  for (const ConfigFault& fault : faults) {
    list.append(py::dict("pointer"_a = fault.pointer, "value"_a = fault.value,
                         "message"_a = fault.message, "nearest"_a = fault.nearest));
  }
  return list;
}

py::object ConfigDict(const Runtime& self) {
  return py::module_::import("json").attr("loads")(ConfigToJson(self.config_state().config));
}

py::dict HostMemoryDict(const Runtime& self) {
  using namespace py::literals;
  const HostMemory memory = self.host_memory();
  return py::dict("total"_a = memory.total, "available"_a = memory.available);
}

// Python's logging levels, so that the bridge needs no table of its own.
int PythonLevel(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return 10;
    case LogLevel::kInfo:
      return 20;
    case LogLevel::kWarning:
      return 30;
    case LogLevel::kError:
      return 40;
  }
  return 40;
}

std::vector<std::pair<int, std::string>> DrainedLog() {
  std::vector<std::pair<int, std::string>> lines;
  for (LogLine& line : DrainLog())
    lines.emplace_back(PythonLevel(line.level), std::move(line.text));
  return lines;
}

void BindRuntimeClass(py::module_& module) {
  py::class_<Runtime>(module, "Runtime", "Config, cache and executor of this process.")
      .def_property_readonly("cache", &Runtime::cache)
      .def_property_readonly("executor", &Runtime::executor)
      .def_property_readonly("host_tier", &Runtime::host_tier)
      .def_property_readonly("devices", &Runtime::devices)
      .def_property_readonly("config", &ConfigDict, "The values in force.")
      .def_property_readonly("config_source",
                             [](const Runtime& self) { return self.config_state().source; })
      .def_property_readonly(
          "config_faults", [](const Runtime& self) { return ToList(self.config_state().faults); },
          "What was wrong with the last config offered; empty when it is in force.")
      .def_property_readonly(
          "config_inert", [](const Runtime& self) { return self.config_state().inert; },
          "JSON pointers of keys in force that this version does not act on.")
      .def("configure", &Runtime::Configure, py::arg("text"), py::arg("source"), Released(),
           "Reads a config and applies it at once; False when it has faults.")
      .def("set_active_headroom", &Runtime::SetActiveHeadroom, py::arg("bytes"), Released())
      .def("host_memory", &HostMemoryDict)
      .def(
          "drain_log", [](Runtime&) { return DrainedLog(); },
          "Lines logged since the last call, as (Python logging level, text).")
      .def("shutdown", &Runtime::Shutdown, py::arg("release"), Released());
}

}  // namespace

void BindRuntime(py::module_& module) {
  BindRuntimeClass(module);
  module.def("runtime", &GlobalRuntime, py::return_value_policy::reference,
             "The one runtime of this process.");
  module.def(
      "check_config", [](const std::string& text) { return ToList(ParseConfig(text).faults); },
      py::arg("text"), "The faults of a config text; empty when it is good.");
}

}  // namespace hearth
