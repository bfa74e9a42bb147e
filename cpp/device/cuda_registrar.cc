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

// Memory to try a driver on, in whole pages.
class Pages {
 public:
  explicit Pages(std::size_t size) : size_(size) {
    address_ = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address_ == MAP_FAILED) throw Error("no memory to try the CUDA driver on");
  }
  ~Pages() { ::munmap(address_, size_); }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  std::byte* address() const { return static_cast<std::byte*>(address_); }

 private:
  std::size_t size_;
  void* address_;
};

class Registered {
 public:
  Registered(const DriverApi& api, void* address) : api_(api), address_(address) {
    if (api_.host_register(address, kPiece, kCuRegisterPortable) != kCuSuccess) {
      throw CudaError("a page cannot be registered");
    }
  }
  ~Registered() { static_cast<void>(api_.host_unregister(address_)); }
  Registered(const Registered&) = delete;
  Registered& operator=(const Registered&) = delete;

 private:
  const DriverApi& api_;
  void* address_;
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

void CudaRegistrar::Unregister(const void* address) noexcept {
  if (device_->is_abandoned()) return;
  if (device_->api().context_push(device_->context()) != kCuSuccess) return;
  static_cast<void>(device_->api().host_unregister(const_cast<void*>(address)));
  CuContext mine = nullptr;
  static_cast<void>(device_->api().context_pop(&mine));
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
  const Pages pages(2 * kPiece);
  for (std::size_t i = 0; i < 2 * kPiece; ++i) {
    pages.address()[i] = static_cast<std::byte>(i * 31 + (i >> 8));
  }
  const DriverApi& api = device_->api();
  const Registered first(api, pages.address());
  const Registered second(api, pages.address() + kPiece);
  const DeviceArena arena(device_, kPiece);
  std::vector<std::byte> back(kPiece);
  CopyStream stream(device_);  // the last: what it copies to must outlive it
  const std::byte* const from = pages.address() + kPiece / 2;
  stream.CopyToDevice(arena.address(), from, kPiece);
  stream.CopyToHost(back.data(), arena.address(), kPiece);
  stream.Wait();
  return std::memcmp(back.data(), from, kPiece) == 0;
}

}  // namespace hearth
