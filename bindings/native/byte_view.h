#ifndef HEARTH_NATIVE_BYTE_VIEW_H_
#define HEARTH_NATIVE_BYTE_VIEW_H_

#include <pybind11/pybind11.h>

#include <cstdint>
#include <memory>
#include <optional>

namespace hearth {

// Bytes in host or device memory that somebody else owns, as Python sees them: address, length, and
// DLPack, by which torch and numpy view them without copying. Whatever is made from a view keeps
// the bytes alive.
class ByteView {
 public:
  struct Place {
    std::uintptr_t address = 0;
    std::uint64_t size = 0;
    std::optional<int> device;  // nullopt: host memory
  };

  ByteView(std::shared_ptr<const void> owner, Place place)
      : owner_(std::move(owner)), place_(place) {}

  std::uintptr_t address() const { return place_.address; }
  std::uint64_t size() const { return place_.size; }
  bool is_host() const { return !place_.device.has_value(); }
  // (device type, device number) in DLPack's counting.
  pybind11::tuple DlpackDevice() const;
  // A capsule of one dimension of uint8. The bytes of a file must not be written to.
  pybind11::capsule Dlpack() const;

 private:
  std::shared_ptr<const void> owner_;
  Place place_;
};

// `nbytes` from `offset` of `size` bytes at `address`; nullopt: to the end. Throws IndexError.
ByteView::Place PlaceOf(std::uintptr_t address, std::uint64_t size, std::uint64_t offset,
                        std::optional<std::uint64_t> nbytes);

}  // namespace hearth

#endif  // HEARTH_NATIVE_BYTE_VIEW_H_
