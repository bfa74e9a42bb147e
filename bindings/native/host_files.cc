#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "base/error.h"
#include "hosttier/host_tier.h"
#include "native/bind.h"
#include "native/byte_view.h"
#include "native/python_host_file.h"

namespace py = pybind11;

namespace hearth {
namespace {

using namespace py::literals;
using Released = py::call_guard<py::gil_scoped_release>;
constexpr std::uint64_t kAll = std::numeric_limits<std::uint64_t>::max();

py::dict ProgressDict(const PythonHostFile& self) {
  const ReadProgress progress = self.get()->read_progress();
  return py::dict("done_bytes"_a = progress.done_bytes, "total_bytes"_a = progress.total_bytes,
                  "from_disk_bytes"_a = progress.from_disk_bytes, "finished"_a = progress.finished,
                  "cancelled"_a = progress.cancelled, "fault"_a = progress.fault);
}

ByteView View(const PythonHostFile& self, std::uint64_t offset,
              std::optional<std::uint64_t> nbytes) {
  HostFileHandle handle = self.get();
  handle->RequireSound();
  const MappedFile& file = handle->file();
  if (file.address() == nullptr) throw Error(file.name() + ": the file could not be mapped.");
  const auto place =
      PlaceOf(reinterpret_cast<std::uintptr_t>(file.address()), file.size(), offset, nbytes);
  return {std::make_shared<const HostFileHandle>(std::move(handle)), place};
}

void ReadAheadOf(const PythonHostFile& self, unsigned threads, std::uint64_t max_bytes, bool wait,
                 bool is_urgent) {
  const HostFileHandle handle = self.get();
  handle->StartReadAhead({threads, max_bytes, is_urgent});
  if (wait) handle->WaitForReadAhead();
}

std::uint64_t Register(const PythonHostFile& self, std::optional<std::uint64_t> max_bytes,
                       std::optional<double> max_seconds) {
  const HostFileHandle handle = self.get();
  RegisterRequest request;
  request.max_bytes = max_bytes.value_or(request.max_bytes);
  request.max_seconds = max_seconds.value_or(request.max_seconds);
  return handle->Register(request);
}

void BindIdentity(py::module_& module) {
  py::class_<HostFileIdentity>(module, "HostFileIdentity", "Which file it is.")
      .def_readonly("device", &HostFileIdentity::device)
      .def_readonly("inode", &HostFileIdentity::inode)
      .def_readonly("size", &HostFileIdentity::size)
      .def_readonly("mtime_ns", &HostFileIdentity::mtime_ns)
      .def("__eq__", [](const HostFileIdentity& a, const HostFileIdentity& b) { return a == b; })
      .def("__hash__", [](const HostFileIdentity& self) {
        return py::hash(py::make_tuple(self.device, self.inode, self.size, self.mtime_ns));
      });
}

using FileClass = py::class_<PythonHostFile>;

void BindFileFacts(FileClass& file) {
  file.def_property_readonly(
          "identity", [](const PythonHostFile& self) { return self.get()->file().identity(); })
      .def_property_readonly("name",
                             [](const PythonHostFile& self) { return self.get()->file().name(); })
      .def_property_readonly(
          "file_system",
          [](const PythonHostFile& self) { return self.get()->file().file_system(); })
      .def_property_readonly("nbytes",
                             [](const PythonHostFile& self) { return self.get()->file().size(); })
      .def_property_readonly(
          "address",
          [](const PythonHostFile& self) {
            return reinterpret_cast<std::uintptr_t>(self.get()->file().address());
          },
          "Where the first byte lies; 0 when the file could not be mapped.")
      .def_property_readonly(
          "state", [](const PythonHostFile& self) { return ToString(self.get()->state()); },
          "unmapped, mapped, reading, read or poisoned.")
      .def(
          "require_sound", [](const PythonHostFile& self) { self.get()->RequireSound(); },
          "Raises CheckpointCorruptError when the bytes are no longer those that were held.");
}

void BindFileWork(FileClass& file) {
  file.def("read_ahead", &ReadAheadOf, "threads"_a = 0, "max_bytes"_a = 0, "wait"_a = false,
           "urgent"_a = false, Released(),
           "Brings the bytes into RAM with several threads: after what was asked for before, "
           "`urgent` before all of it.")
      .def(
          "wait_for_read_ahead",
          [](const PythonHostFile& self, double max_seconds) {
            return self.get()->WaitForReadAhead(std::chrono::duration<double>(max_seconds));
          },
          "max_seconds"_a, Released(), "Returns whether nothing is being read any more.")
      .def(
          "cancel_read_ahead", [](const PythonHostFile& self) { self.get()->CancelReadAhead(); },
          Released())
      .def_property_readonly("progress", &ProgressDict)
      .def("register", &Register, "max_bytes"_a = py::none(), "max_seconds"_a = py::none(),
           Released(), "Registers what comes next for the devices; returns how many bytes.")
      .def(
          "unregister", [](const PythonHostFile& self) { return self.get()->Unregister(); },
          Released(), "Undoes it; REQUIRES that nobody copies from these bytes.")
      .def_property_readonly(
          "registered_bytes",
          [](const PythonHostFile& self) { return self.get()->registered_bytes(); },
          "From the file's beginning on.")
      .def(
          "copyable_bytes",
          [](const PythonHostFile& self, std::uint64_t offset) {
            return self.get()->CopyableBytes(offset);
          },
          "offset"_a, Released(), "How many bytes from there on a device copies in one go.");
}

void BindFileLocks(FileClass& file) {
  file.def(
          "lock",
          [](const PythonHostFile& self, std::optional<std::uint64_t> max_bytes) {
            return self.get()->Lock(max_bytes.value_or(kAll));
          },
          "max_bytes"_a = py::none(), Released(), "Keeps the next bytes in RAM; returns how many.")
      .def(
          "unlock", [](const PythonHostFile& self) { return self.get()->Unlock(); }, Released())
      .def_property_readonly("locked_bytes",
                             [](const PythonHostFile& self) { return self.get()->locked_bytes(); })
      .def_property_readonly(
          "refusal", [](const PythonHostFile& self) { return self.get()->refusal(); },
          "Why the last register() or lock() ended early; empty when it did not.");
}

void BindFile(py::module_& module) {
  FileClass file(module, "HostFile", "Keeps one file's bytes mapped; a context manager.");
  BindFileFacts(file);
  BindFileWork(file);
  BindFileLocks(file);
  file.def("view", &View, "offset"_a = 0, "nbytes"_a = py::none(),
           "These bytes without copying them; the view keeps them mapped.")
      .def("close", &PythonHostFile::Close)
      .def_property_readonly("closed", &PythonHostFile::closed)
      .def("__enter__", [](py::object self) { return self; })
      .def("__exit__", [](PythonHostFile& self, const py::args&) { self.Close(); });
}

py::dict FileDict(const HostFileStats& file) {
  return py::dict("name"_a = file.name, "identity"_a = file.identity,
                  "state"_a = ToString(file.state), "registered_bytes"_a = file.registered_bytes,
                  "locked_bytes"_a = file.locked_bytes, "held"_a = file.held);
}

py::dict StatsDict(const HostTier& self) {
  HostTierStats stats;
  {
    py::gil_scoped_release release;
    stats = self.Stats();
  }
  py::list files;
  for (const HostFileStats& file : stats.files) files.append(FileDict(file));
  py::object room = py::none();
  if (stats.room_bytes != kAll) room = py::int_(stats.room_bytes);
  return py::dict("mapped_bytes"_a = stats.mapped_bytes,
                  "registered_bytes"_a = stats.registered_bytes,
                  "locked_bytes"_a = stats.locked_bytes, "room_bytes"_a = room,
                  "max_bytes"_a = stats.limits.max_bytes,
                  "keep_free_bytes"_a = stats.limits.keep_free_bytes, "files"_a = files);
}

std::optional<PythonHostFile> Found(HostTier& self, std::uint64_t device, std::uint64_t inode) {
  HostFileHandle handle = self.Find(device, inode);
  if (!handle) return std::nullopt;
  return PythonHostFile(std::move(handle));
}

}  // namespace

void BindHostFiles(py::module_& module) {
  BindIdentity(module);
  BindFile(module);
  py::class_<HostTier, std::shared_ptr<HostTier>>(
      module, "HostTier", "The files whose bytes this process has in host memory, each once.")
      .def(
          "hold",
          [](HostTier& self, const std::filesystem::path& path) {
            return PythonHostFile(self.Hold(path.string()));
          },
          "path"_a, Released(), "Maps a file, or joins those who have it mapped.")
      .def("find", &Found, "device"_a, "inode"_a, Released(),
           "The file with these numbers, if it is here and sound.")
      .def(
          "give_way", [](HostTier& self, std::uint64_t bytes) { return self.GiveWay(bytes); },
          "bytes"_a = kAll, Released(),
          "Releases unheld files, least recently used first; returns how many bytes.")
      .def("tidy", &HostTier::Tidy, Released(),
           "Gives way as far as the limits ask for it; to be called between prompts.")
      .def("stats", &StatsDict);
}

}  // namespace hearth
