#ifndef HEARTH_KEEPER_DESCRIPTOR_H_
#define HEARTH_KEEPER_DESCRIPTOR_H_

#include <unistd.h>

#include <utility>

namespace hearth {

// Owns a file descriptor; move-only, empty (-1) after a move.
class Descriptor {
 public:
  explicit Descriptor(int descriptor = -1) noexcept : descriptor_(descriptor) {}
  Descriptor(Descriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~Descriptor() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  int get() const { return descriptor_; }
  explicit operator bool() const { return descriptor_ >= 0; }

 private:
  int descriptor_;
};

}  // namespace hearth

#endif  // HEARTH_KEEPER_DESCRIPTOR_H_
