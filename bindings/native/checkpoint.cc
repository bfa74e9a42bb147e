#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "checkpoint/content_scan.h"
#include "checkpoint/file_identity.h"
#include "checkpoint/safetensors_index.h"
#include "checkpoint/sharded_set.h"
#include "native/bind.h"

namespace py = pybind11;

namespace hearth {
namespace {

// A file's name may be any bytes; as a path, Python gives and takes them unharmed.
using Path = std::filesystem::path;

// One checked file, kept open so that a scan reads what was checked.
class Checkpoint {
 public:
  Checkpoint(const Path& path, std::vector<std::string> roots)
      : file_(path.string(), {std::move(roots)}), index_(SafetensorsIndex::Read(file_)) {}

  const CheckpointFile& file() const { return file_; }
  const SafetensorsIndex& index() const { return index_; }

  std::vector<ValueCounts> Scan(unsigned threads, const BlockSink& sink) const {
    std::vector<ValueCounts> counts = ScanContents(file_, index_, {.threads = threads}, sink);
    file_.RequireUnchanged();
    return counts;
  }

 private:
  CheckpointFile file_;
  SafetensorsIndex index_;
};

struct DtypeTotal {
  std::size_t tensors = 0;
  std::uint64_t bytes = 0;
};

// dtype -> (tensors, bytes): a large file has a thousand tensors and three dtypes.
py::dict Dtypes(const Checkpoint& self) {
  std::map<std::string_view, DtypeTotal> totals;
  for (const TensorInfo& tensor : self.index().tensors()) {
    DtypeTotal& total = totals[ToString(tensor.dtype)];
    ++total.tensors;
    total.bytes += tensor.size;
  }
  py::dict result;
  for (const auto& [name, total] : totals) {
    result[py::str(std::string(name))] = py::make_tuple(total.tensors, total.bytes);
  }
  return result;
}

py::list Scan(const Checkpoint& self, const py::function& on_block, unsigned threads) {
  const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  const BlockSink sink = [&](std::string_view block) {
    py::gil_scoped_acquire gil;
    const auto view =
        py::memoryview::from_memory(block.data(), static_cast<py::ssize_t>(block.size()));
    on_block(view);
    view.attr("release")();  // the bytes are overwritten from here on
  };
  std::vector<ValueCounts> counts;
  {
    py::gil_scoped_release release;
    counts = self.Scan(threads > 0 ? threads : std::min(cores, 8u), sink);
  }
  py::list found;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == ValueCounts{}) continue;
    const TensorInfo& tensor = self.index().tensors()[i];
    found.append(py::make_tuple(tensor.name, std::string(ToString(tensor.dtype)), counts[i].nan,
                                counts[i].infinite));
  }
  return found;
}

py::dict CheckSet(const Path& path, std::vector<std::string> roots) {
  ShardedSet set;
  {
    py::gil_scoped_release release;
    set = CheckShardedSet(path.string(), {std::move(roots)});
  }
  py::dict result;
  result["shards"] = set.shards;
  result["tensors"] = set.tensors;
  result["tensor_bytes"] = set.tensor_bytes;
  result["warnings"] = set.warnings;
  return result;
}

void BindFileIdentity(py::module_& module) {
  py::class_<FileIdentity>(module, "FileIdentity", "Which file it is, without its path.")
      .def_property_readonly("text", &FileIdentity::ToString)
      .def_readonly("size", &FileIdentity::size)
      .def_readonly("mtime_ns", &FileIdentity::mtime_ns)
      .def_readonly("inode", &FileIdentity::inode);
  module.def(
      "identify_file", [](const Path& path) { return IdentifyFile(path.string()); },
      py::arg("path"), py::call_guard<py::gil_scoped_release>(),
      "Looks a file up without reading it; refuses what is missing or no regular file.");
}

void BindTensorInfo(py::module_& module) {
  py::class_<TensorInfo>(module, "TensorInfo", "Where one tensor lies in its file.")
      .def_readonly("name", &TensorInfo::name)
      .def_property_readonly("dtype", [](const TensorInfo& self) { return ToString(self.dtype); })
      .def_readonly("shape", &TensorInfo::shape)
      .def_readonly("offset", &TensorInfo::offset, "In the file, in bytes.")
      .def_readonly("size", &TensorInfo::size, "In bytes.");
}

}  // namespace

void BindCheckpoint(py::module_& module) {
  using Roots = std::vector<std::string>;
  BindFileIdentity(module);
  BindTensorInfo(module);
  py::class_<Checkpoint>(module, "Checkpoint", "A safetensors file whose header was checked.")
      .def(py::init<const Path&, Roots>(), py::arg("path"), py::arg("roots") = Roots(),
           py::call_guard<py::gil_scoped_release>())
      .def_property_readonly("name", [](const Checkpoint& self) { return self.file().name(); })
      .def_property_readonly("size", [](const Checkpoint& self) { return self.file().size(); })
      .def_property_readonly(
          "identity", [](const Checkpoint& self) { return self.file().identity().ToString(); })
      .def_property_readonly("data_offset",
                             [](const Checkpoint& self) { return self.index().data_offset(); })
      .def_property_readonly("tensors",
                             [](const Checkpoint& self) { return self.index().tensors(); })
      .def_property_readonly("dtypes", &Dtypes, "dtype -> (tensors, bytes).")
      .def_property_readonly("metadata",
                             [](const Checkpoint& self) { return self.index().metadata(); })
      .def_property_readonly("warnings",
                             [](const Checkpoint& self) { return self.index().warnings(); })
      .def("scan", &Scan, py::arg("on_block"), py::arg("threads") = 0u,
           "Reads the whole file in threads; on_block gets a memoryview of each block in order, "
           "valid during the call. Returns (tensor, dtype, nan, infinite) where there are any.");
  module.def(
      "check_checkpoint",
      [](const Path& path, Roots roots) {
        SafetensorsIndex::ReadFile(path.string(), {std::move(roots)});
      },
      py::arg("path"), py::arg("roots") = Roots(), py::call_guard<py::gil_scoped_release>(),
      "Refuses a safetensors file whose header is wrong; reads the header only.");
  module.def("check_sharded_set", &CheckSet, py::arg("path"), py::arg("roots") = Roots(),
             "Checks a .safetensors.index.json and all its files.");
}

}  // namespace hearth
