#ifndef HEARTH_HOSTTIER_HOST_REGISTRAR_H_
#define HEARTH_HOSTTIER_HOST_REGISTRAR_H_

#include <cstddef>
#include <string>

namespace hearth {

struct RegisterOutcome {
  bool registered = false;
  std::string refusal;  // for people; why not
};

// Makes host memory known to the devices, so that they copy from it by themselves. Thread-safe.
class HostRegistrar {
 public:
  virtual ~HostRegistrar() = default;

  // Takes a while (a gigabyte in 20-40 ms) during which a device starts no new work, so ranges are
  // small and calls are spread. REQUIRES: the range is readable, and `address` is a page's first.
  virtual RegisterOutcome Register(const void* address, std::size_t size) noexcept = 0;
  // May wait for the devices. False: the driver still has the range. Its memory must then never be
  // unmapped: whatever comes to lie at its address would be copied as the bytes that lay there
  // before. REQUIRES: Register() was told the same address, and no copy from the range is under
  // way.
  [[nodiscard]] virtual bool Unregister(const void* address) noexcept = 0;
  // Whether one copy may reach over two ranges that were registered one after the other.
  virtual bool CopiesSpanRanges() noexcept = 0;
};

}  // namespace hearth

#endif  // HEARTH_HOSTTIER_HOST_REGISTRAR_H_
