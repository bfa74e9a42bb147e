#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>

#include "device/cuda_host.h"
#include "native/bind.h"

namespace py = pybind11;

namespace hearth {
namespace {

using namespace py::literals;
using Released = py::call_guard<py::gil_scoped_release>;

py::dict ProbeDict(CudaHost& self) {
  DeviceReport report;
  {
    py::gil_scoped_release release;
    report = self.Probe();
  }
  py::list devices;
  for (const DeviceInfo& device : report.devices) {
    devices.append(py::dict("index"_a = device.index, "name"_a = device.name,
                            "total_bytes"_a = device.total_bytes,
                            "free_bytes"_a = device.free_bytes));
  }
  return py::dict("driver_version"_a = report.driver_version, "reason"_a = report.reason,
                  "devices"_a = devices);
}

}  // namespace

void BindDevices(py::module_& module) {
  py::class_<CudaHost, std::shared_ptr<CudaHost>>(module, "CudaHost",
                                                  "The GPUs that this process may use.")
      .def("probe", &ProbeDict)
      .def(
          "open", [](CudaHost& self, int index) { static_cast<void>(self.Open(index)); },
          "index"_a = 0, Released(), "Makes the context now rather than at the first use.")
      .def("copies_span_ranges", &CudaHost::CopiesSpanRanges, Released(),
           "Whether one copy may reach over two ranges that were registered apart.");
}

}  // namespace hearth
