#include "device/cuda_device.h"

#include <utility>

#include "base/bytes.h"
#include "base/error.h"

namespace hearth {

CudaDevice::CudaDevice(std::shared_ptr<const CudaDriver> driver, int index)
    : driver_(std::move(driver)), index_(index) {
  driver_->Check(api().device_get(&id_, index), "cuDeviceGet", Where("looking for the GPU"));
  driver_->Check(api().primary_context_retain(&context_, id_), "cuDevicePrimaryCtxRetain",
                 Where("starting CUDA"));
}

std::string CudaDevice::Where(const std::string& what) const {
  return what + " on device " + std::to_string(index_);
}

int CudaDevice::Attribute(int attribute) const {
  int value = 0;
  return api().device_get_attribute(&value, attribute, id_) == kCuSuccess ? value : 0;
}

int CudaDevice::ComputeCapability() const {
  return 10 * Attribute(kCuAttributeComputeMajor) + Attribute(kCuAttributeComputeMinor);
}

DeviceMemory CudaDevice::Memory() const {
  const CurrentDevice current(*this);
  std::size_t free = 0;
  std::size_t total = 0;
  driver_->Check(api().memory_get_info(&free, &total), "cuMemGetInfo", Where("asking for VRAM"));
  return {free, total};
}

CurrentDevice::CurrentDevice(const CudaDevice& device) : device_(device) {
  device_.driver().Check(device_.api().context_push(device_.context()), "cuCtxPushCurrent",
                         device_.Where("entering the context"));
}

CurrentDevice::~CurrentDevice() {
  CuContext mine = nullptr;
  static_cast<void>(device_.api().context_pop(&mine));
}

DeviceArena::DeviceArena(std::shared_ptr<const CudaDevice> device, std::uint64_t bytes)
    : device_(std::move(device)), size_(bytes) {
  CuAllocationProperties properties;
  properties.location.id = device_->index();
  const CurrentDevice current(*device_);
  std::size_t grain = 0;
  device_->driver().Check(device_->api().granularity(&grain, &properties, 0),
                          "cuMemGetAllocationGranularity", device_->Where("asking for VRAM"));
  reserved_ = (bytes + grain - 1) / grain * grain;
  try {
    Map(properties);
  } catch (...) {
    Free();
    throw;
  }
}

void DeviceArena::Map(const CuAllocationProperties& properties) {
  const CudaDriver& driver = device_->driver();
  const DriverApi& api = driver.api();
  const std::string place = device_->Where("taking " + FormatBytes(reserved_) + " of VRAM");
  driver.Check(api.address_reserve(&address_, reserved_, 0, 0, 0), "cuMemAddressReserve", place);
  driver.Check(api.allocation_create(&allocation_, reserved_, &properties, 0), "cuMemCreate",
               place);
  is_created_ = true;
  driver.Check(api.map(address_, reserved_, 0, allocation_, 0), "cuMemMap", place);
  is_mapped_ = true;
  CuAccess access;
  access.location = properties.location;
  driver.Check(api.set_access(address_, reserved_, &access, 1), "cuMemSetAccess", place);
}

void DeviceArena::Free() noexcept {
  const DriverApi& api = device_->api();
  // Memory that stays mapped keeps its address, or another arena's would lie there.
  if (is_mapped_ && api.unmap(address_, reserved_) != kCuSuccess) return;
  if (is_created_) static_cast<void>(api.allocation_release(allocation_));
  if (address_ != 0) static_cast<void>(api.address_free(address_, reserved_));
}

DeviceArena::~DeviceArena() {
  if (device_->is_abandoned()) return;
  if (device_->api().context_push(device_->context()) != kCuSuccess) return;
  Free();
  CuContext mine = nullptr;
  static_cast<void>(device_->api().context_pop(&mine));
}

CopyStream::CopyStream(std::shared_ptr<const CudaDevice> device) : device_(std::move(device)) {
  const CurrentDevice current(*device_);
  device_->driver().Check(device_->api().stream_create(&stream_, kCuStreamNonBlocking),
                          "cuStreamCreate", device_->Where("making a stream"));
}

CopyStream::~CopyStream() {
  if (device_->is_abandoned()) return;
  if (device_->api().context_push(device_->context()) != kCuSuccess) return;
  static_cast<void>(device_->api().stream_synchronize(stream_));
  static_cast<void>(device_->api().stream_destroy(stream_));
  CuContext mine = nullptr;
  static_cast<void>(device_->api().context_pop(&mine));
}

void CopyStream::CopyToDevice(CuAddress to, const void* from, std::size_t size) {
  const CurrentDevice current(*device_);
  device_->driver().Check(device_->api().copy_to_device(to, from, size, stream_),
                          "cuMemcpyHtoDAsync",
                          device_->Where("copying " + FormatBytes(size) + " to VRAM"));
}

void CopyStream::CopyToHost(void* to, CuAddress from, std::size_t size) {
  const CurrentDevice current(*device_);
  device_->driver().Check(device_->api().copy_to_host(to, from, size, stream_), "cuMemcpyDtoHAsync",
                          device_->Where("copying " + FormatBytes(size) + " from VRAM"));
}

void CopyStream::Wait() {
  const CurrentDevice current(*device_);
  device_->driver().Check(device_->api().stream_synchronize(stream_), "cuStreamSynchronize",
                          device_->Where("waiting for a copy"));
}

}  // namespace hearth
