#include "native/byte_view.h"

#include <string>
#include <utility>

#include "native/bind.h"

namespace py = pybind11;

namespace hearth {
namespace {

// DLPack's stable binary interface (dmlc/dlpack, version 0), as far as it is used here.
struct DlDevice {
  std::int32_t type;
  std::int32_t id;
};
struct DlDataType {
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;
};
struct DlTensor {
  void* data;
  DlDevice device;
  std::int32_t dimensions;
  DlDataType type;
  std::int64_t* shape;
  std::int64_t* strides;  // nullptr: compact
  std::uint64_t byte_offset;
};
struct DlManagedTensor {
  DlTensor tensor;
  void* context;
  void (*deleter)(DlManagedTensor*);
};
constexpr std::int32_t kDlCpu = 1;
constexpr std::int32_t kDlCuda = 2;
constexpr std::uint8_t kDlUnsigned = 1;

struct Export {
  DlManagedTensor managed;
  std::int64_t shape;
  std::shared_ptr<const void> owner;
};

void DeleteExport(DlManagedTensor* managed) { delete static_cast<Export*>(managed->context); }

// Called when nobody took the tensor out of the capsule; one that was taken is renamed.
void DeleteUntaken(PyObject* capsule) {
  if (PyCapsule_IsValid(capsule, "dltensor") == 0) return;
  auto* const managed = static_cast<DlManagedTensor*>(PyCapsule_GetPointer(capsule, "dltensor"));
  managed->deleter(managed);
}

DlDevice DeviceOf(bool is_host, std::optional<int> device) {
  return is_host ? DlDevice{kDlCpu, 0} : DlDevice{kDlCuda, device.value_or(0)};
}

py::buffer_info BufferOf(const ByteView& self) {
  if (!self.is_host()) throw py::buffer_error("these bytes are in device memory; use DLPack");
  return {reinterpret_cast<std::uint8_t*>(self.address()), static_cast<py::ssize_t>(self.size()),
          true};
}

}  // namespace

py::tuple ByteView::DlpackDevice() const {
  const DlDevice device = DeviceOf(is_host(), place_.device);
  return py::make_tuple(device.type, device.id);
}

py::capsule ByteView::Dlpack() const {
  auto made = std::make_unique<Export>();
  made->shape = static_cast<std::int64_t>(place_.size);
  made->owner = owner_;
  made->managed.tensor = {reinterpret_cast<void*>(place_.address),
                          DeviceOf(is_host(), place_.device),
                          1,
                          {kDlUnsigned, 8, 1},
                          &made->shape,
                          nullptr,
                          0};
  made->managed.context = made.get();
  made->managed.deleter = &DeleteExport;
  py::capsule capsule(&made->managed, "dltensor", &DeleteUntaken);
  static_cast<void>(made.release());
  return capsule;
}

ByteView::Place PlaceOf(std::uintptr_t address, std::uint64_t size, std::uint64_t offset,
                        std::optional<std::uint64_t> nbytes) {
  if (offset > size || nbytes.value_or(0) > size - offset) {
    throw py::index_error("a view of " + std::to_string(nbytes.value_or(0)) + " bytes from " +
                          std::to_string(offset) + " on leaves the " + std::to_string(size) +
                          " bytes there are");
  }
  return {address + offset, nbytes.value_or(size - offset), std::nullopt};
}

void BindByteView(py::module_& module) {
  py::class_<ByteView>(module, "ByteView", py::buffer_protocol(),
                       "Read-only bytes in host or device memory; keeps them there.")
      .def_buffer(&BufferOf)
      .def_property_readonly("address", &ByteView::address)
      .def_property_readonly("nbytes", &ByteView::size)
      .def("__len__", &ByteView::size)
      .def("__dlpack_device__", &ByteView::DlpackDevice)
      .def(
          "__dlpack__", [](const ByteView& self, const py::kwargs&) { return self.Dlpack(); },
          "One dimension of uint8. What a copy of ours writes is there when it returns, so no "
          "stream waits.");
}

}  // namespace hearth
