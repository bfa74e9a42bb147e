#include "device/cuda_registrar.h"

#include <sys/mman.h>

#include <cstddef>
#include <cstring>
#include <exception>
#include <utility>
#include <vector>

#include "base/error.h"

namespace hearth {
namespace {

constexpr std::size_t kPiece = std::size_t{64} << 10;  // a multiple of every page size there is

// Memory to try a driver on: two pieces, each registered by itself.
class RegisteredPieces {
 public:
  explicit RegisteredPieces(const DriverApi& api) : api_(api) {
    void* const address =
        ::mmap(nullptr, 2 * kPiece, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address == MAP_FAILED) throw Error("no memory to try the CUDA driver on");
    address_ = static_cast<std::byte*>(address);
    while (registered_ < 2 && api_.host_register(address_ + registered_ * kPiece, kPiece,
                                                 kCuRegisterPortable) == kCuSuccess) {
      ++registered_;
    }
  }
  ~RegisteredPieces() {
    bool is_free = true;  // memory that the driver still has keeps its address
    for (std::size_t i = 0; i < registered_; ++i) {
      is_free = api_.host_unregister(address_ + i * kPiece) == kCuSuccess && is_free;
    }
    if (is_free) ::munmap(address_, 2 * kPiece);
  }
  RegisteredPieces(const RegisteredPieces&) = delete;
  RegisteredPieces& operator=(const RegisteredPieces&) = delete;
  std::byte* address() const { return address_; }
  bool is_whole() const { return registered_ == 2; }

 private:
  const DriverApi& api_;
  std::byte* address_;
  std::size_t registered_ = 0;
};

}  // namespace

CudaRegistrar::CudaRegistrar(std::shared_ptr<const CudaDevice> device)
    : device_(std::move(device)) {}

RegisterOutcome CudaRegistrar::Register(const void* address, std::size_t size) noexcept {
  try {
    const CurrentDevice current(*device_);
    const DriverApi& api = device_->api();
    void* const from = const_cast<void*>(address);
    // Asked first: a range that somebody else registered is theirs to unregister.
    unsigned flags = 0;
    if (api.host_get_flags(&flags, from) == kCuSuccess) {
      return {false, "another part of the process has registered these bytes"};
    }
    CuResult result = api.host_register(from, size, kCuRegisterPortable | kCuRegisterReadOnly);
    if (result != kCuSuccess && device_->Attribute(kCuAttributeReadOnlyRegister) == 0) {
      result = api.host_register(from, size, kCuRegisterPortable);
    }
    if (result == kCuSuccess) return {true, ""};
    return {false, device_->driver().Describe(result, "cuMemHostRegister")};
  } catch (const std::exception& error) {
    return {false, error.what()};
  }
}

bool CudaRegistrar::Unregister(const void* address) noexcept {
  if (device_->is_abandoned()) return true;  // nobody copies any more
  if (device_->api().context_push(device_->context()) != kCuSuccess) return false;
  const CuResult result = device_->api().host_unregister(const_cast<void*>(address));
  CuContext mine = nullptr;
  static_cast<void>(device_->api().context_pop(&mine));
  return result == kCuSuccess || result == kCuNotRegistered;
}

bool CudaRegistrar::CopiesSpanRanges() noexcept {
  MutexLock lock(mutex_);
  if (!copies_span_) {
    try {
      copies_span_ = TryCopyOverTwoRanges();
    } catch (const std::exception&) {
      copies_span_ = false;  // not known, so not relied upon
    }
  }
  return *copies_span_;
}

bool CudaRegistrar::TryCopyOverTwoRanges() const {
  const CurrentDevice current(*device_);
  const RegisteredPieces pieces(device_->api());
  if (!pieces.is_whole()) return false;
  for (std::size_t i = 0; i < 2 * kPiece; ++i) {
    pieces.address()[i] = static_cast<std::byte>(i * 31 + (i >> 8));
  }
  const DeviceArena arena(device_, kPiece);
  std::vector<std::byte> back(kPiece);
  CopyStream stream(device_);  // the last: what it copies to must outlive it
  const std::byte* const from = pieces.address() + kPiece / 2;
  stream.CopyToDevice(arena.address(), from, kPiece);
  stream.CopyToHost(back.data(), arena.address(), kPiece);
  stream.Wait();
  return std::memcmp(back.data(), from, kPiece) == 0;
}

}  // namespace hearth
