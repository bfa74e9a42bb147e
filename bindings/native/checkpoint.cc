#include <pybind11/pybind11.h>

#include <string>

#include "checkpoint/file_identity.h"
#include "native/bind.h"

namespace py = pybind11;

namespace hearth {

void BindCheckpoint(py::module_& module) {
  py::class_<FileIdentity>(module, "FileIdentity", "Which file it is, without its path.")
      .def_property_readonly("text", &FileIdentity::ToString)
      .def_readonly("size", &FileIdentity::size)
      .def_readonly("mtime_ns", &FileIdentity::mtime_ns)
      .def_readonly("inode", &FileIdentity::inode);
  module.def("identify_file", &IdentifyFile, py::arg("path"),
             py::call_guard<py::gil_scoped_release>(),
             "Looks a file up without reading it; refuses what is missing or no regular file.");
}

}  // namespace hearth
