#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "device/cuda_host.h"
#include "device/kernel_compiler.h"
#include "device/uploader.h"
#include "native/bind.h"
#include "native/byte_view.h"
#include "native/python_host_file.h"

namespace py = pybind11;

namespace hearth {
namespace {

using namespace py::literals;
using Released = py::call_guard<py::gil_scoped_release>;
using Arena = std::shared_ptr<DeviceArena>;
// (from in the file, to in the arena, how many bytes)
using Ranges = std::vector<std::tuple<std::uint64_t, std::uint64_t, std::uint64_t>>;

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

py::dict MemoryDict(CudaHost& self, int index) {
  DeviceMemory memory;
  {
    py::gil_scoped_release release;
    memory = self.Open(index)->Memory();
  }
  return py::dict("free_bytes"_a = memory.free, "total_bytes"_a = memory.total);
}

ByteView ArenaView(const Arena& self, std::uint64_t offset, std::optional<std::uint64_t> nbytes) {
  ByteView::Place place =
      PlaceOf(static_cast<std::uintptr_t>(self->address()), self->size(), offset, nbytes);
  place.device = self->device()->index();
  return {self, place};
}

py::bytes ReadBack(const DeviceArena& self, std::uint64_t offset, std::uint64_t nbytes) {
  const auto place =
      PlaceOf(static_cast<std::uintptr_t>(self.address()), self.size(), offset, nbytes);
  std::string bytes(nbytes, '\0');
  {
    py::gil_scoped_release release;
    CopyStream stream(self.device());
    stream.CopyToHost(bytes.data(), place.address, nbytes);
    stream.Wait();
  }
  return py::bytes(bytes);
}

ReadPath ReadPathFrom(const std::string& word) {
  static const std::map<std::string, ReadPath> paths = {{"auto", ReadPath::kAuto},
                                                        {"page_cache", ReadPath::kPageCache},
                                                        {"direct", ReadPath::kDirect}};
  const auto found = paths.find(word);
  if (found == paths.end()) throw py::value_error("reads: auto, page_cache or direct");
  return found->second;
}

std::unique_ptr<Uploader> MakeUploader(const std::shared_ptr<CudaHost>& devices, int index,
                                       unsigned threads, std::size_t buffer_bytes,
                                       const std::string& reads) {
  const UploadOptions options{threads, buffer_bytes, ReadPathFrom(reads)};
  PinnedRing::Parts parts{std::make_shared<const LinuxSystemCalls>(), devices};
  return std::make_unique<Uploader>(devices->Open(index), std::move(parts), options);
}

py::dict Upload(Uploader& self, const PythonHostFile& file, const DeviceArena& arena,
                const std::optional<Ranges>& ranges, UploadControl* control) {
  const HostFileHandle handle = file.get();
  std::vector<UploadRange> wanted;
  if (ranges) {
    for (const auto& [from, to, size] : *ranges) wanted.push_back({from, to, size});
  } else {
    wanted.push_back({0, 0, handle->file().size()});
  }
  UploadStats stats;
  {
    py::gil_scoped_release release;
    stats = self.Run(*handle, arena, wanted, control);
  }
  return py::dict("registered_bytes"_a = stats.registered_bytes, "ring_bytes"_a = stats.ring_bytes,
                  "direct"_a = stats.direct, "cancelled"_a = stats.cancelled,
                  "ring_seconds"_a = stats.ring_seconds, "seconds"_a = stats.seconds);
}

void BindArena(py::module_& module) {
  py::class_<DeviceArena, Arena>(module, "DeviceArena",
                                 "Device memory in one piece, in nobody's pool.")
      .def(py::init([](const std::shared_ptr<CudaHost>& devices, int index, std::uint64_t nbytes) {
             return std::make_shared<DeviceArena>(devices->Open(index), nbytes);
           }),
           "devices"_a, "index"_a, "nbytes"_a, Released())
      .def_property_readonly("nbytes", &DeviceArena::size)
      .def_property_readonly("device_index",
                             [](const DeviceArena& self) { return self.device()->index(); })
      .def("view", &ArenaView, "offset"_a = 0, "nbytes"_a = py::none(),
           "These bytes without copying them; the view keeps the memory.")
      .def("read_back", &ReadBack, "offset"_a, "nbytes"_a, "A copy of these bytes.");
}

void BindUploader(py::module_& module) {
  py::class_<UploadControl>(module, "UploadControl", "Watches and ends an upload.")
      .def(py::init<>())
      .def_property_readonly("done_bytes",
                             [](const UploadControl& self) { return self.done_bytes.load(); })
      .def("cancel", [](UploadControl& self) { self.cancelled.store(true); });
  py::class_<Uploader>(module, "Uploader", "Copies held files into arenas of one device.")
      .def(py::init(&MakeUploader), "devices"_a, "index"_a = 0, "threads"_a = 0,
           "buffer_bytes"_a = std::size_t{4} << 20, "reads"_a = "auto", Released())
      .def(
          "run", &Upload, "file"_a, "arena"_a, "ranges"_a = py::none(), "control"_a = py::none(),
          "All of the file, or ranges of (file offset, arena offset, bytes); returns what it did.");
}

}  // namespace

void BindDevices(py::module_& module) {
  py::class_<CudaHost, std::shared_ptr<CudaHost>>(module, "CudaHost",
                                                  "The GPUs that this process may use.")
      .def("probe", &ProbeDict)
      .def(
          "open", [](CudaHost& self, int index) { static_cast<void>(self.Open(index)); },
          "index"_a = 0, Released(), "Makes the context now rather than at the first use.")
      .def("memory", &MemoryDict, "index"_a = 0)
      .def("copies_span_ranges", &CudaHost::CopiesSpanRanges, Released(),
           "Whether one copy may reach over two ranges that were registered apart.");
  BindArena(module);
  BindUploader(module);
  module.def(
      "compile_kernels",
      [](const std::string& architecture) {
        std::string transformer;
        std::string vae;
        std::string quantise;  // empty where there are no such numbers
        {
          const py::gil_scoped_release release;
          transformer = CompileKernels(TransformerKernelText(), "transformer.cu", architecture);
          vae = CompileKernels(VaeKernelText(), "vae.cu", architecture);
          if (architecture >= "sm_89" || architecture.size() > 5) {
            quantise = CompileKernels(QuantiseKernelText(), "quantise.cu", architecture);
          }
        }
        return std::tuple(py::bytes(transformer), py::bytes(vae), py::bytes(quantise));
      },
      "architecture"_a,
      "The engine's kernels, of the transformer, the VAE and 8-bit products (empty below 8.9), for "
      "\"sm_90\" and the like; no "
      "GPU is needed. Raises CudaError, also\n"
      "where no NVRTC is in the process: import torch first.");
}

}  // namespace hearth
