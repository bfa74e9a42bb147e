#ifndef HEARTH_DEVICE_CUDA_DEVICE_H_
#define HEARTH_DEVICE_CUDA_DEVICE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "device/cuda_driver.h"

namespace hearth {

struct DeviceMemory {
  std::uint64_t free = 0;
  std::uint64_t total = 0;
};

// One GPU and its primary context, the one that torch uses too; never released, because nobody
// knows who else works in it when the process ends. Thread-safe.
class CudaDevice {
 public:
  // Makes the context if nobody has (some 300 ms). Throws CudaError.
  CudaDevice(std::shared_ptr<const CudaDriver> driver, int index);

  int index() const { return index_; }
  const CudaDriver& driver() const { return *driver_; }
  const DriverApi& api() const { return driver_->api(); }
  CuContext context() const { return context_; }
  // " on device 0", for the places of errors.
  std::string Where(const std::string& what) const;
  int Attribute(int attribute) const;
  // 90 for 9.0, Hopper.
  int ComputeCapability() const;
  DeviceMemory Memory() const;

  // From now on what is destroyed makes no call of the driver: the process is ending, the driver
  // perhaps gone, and the system takes everything back by itself.
  void Abandon() const { is_abandoned_.store(true); }
  bool is_abandoned() const { return is_abandoned_.load(); }

 private:
  std::shared_ptr<const CudaDriver> driver_;
  int index_;
  CuDeviceId id_ = 0;
  CuContext context_ = nullptr;
  mutable std::atomic<bool> is_abandoned_{false};
};

// Makes a device's context the calling thread's while it lives.
class CurrentDevice {
 public:
  explicit CurrentDevice(const CudaDevice& device);
  ~CurrentDevice();
  CurrentDevice(const CurrentDevice&) = delete;
  CurrentDevice& operator=(const CurrentDevice&) = delete;

 private:
  const CudaDevice& device_;
};

// Device memory in one piece that belongs to no allocator: neither torch's pools nor the hooks that
// ComfyUI puts on cuMemAlloc see it, and it leaves no holes when it goes. Move-only.
class DeviceArena {
 public:
  // Throws DeviceOutOfMemory or CudaError; then nothing is left behind.
  DeviceArena(std::shared_ptr<const CudaDevice> device, std::uint64_t bytes);
  // Gives the memory back; may wait for work that uses it.
  ~DeviceArena();
  DeviceArena(const DeviceArena&) = delete;
  DeviceArena& operator=(const DeviceArena&) = delete;

  const std::shared_ptr<const CudaDevice>& device() const { return device_; }
  CuAddress address() const { return address_; }
  std::uint64_t size() const { return size_; }  // as asked; it takes up a multiple of 2 MiB

 private:
  void Map(const CuAllocationProperties& properties);
  void Free() noexcept;

  std::shared_ptr<const CudaDevice> device_;
  std::uint64_t size_;
  std::uint64_t reserved_ = 0;
  CuAddress address_ = 0;
  CuAllocation allocation_ = 0;
  bool is_created_ = false;
  bool is_mapped_ = false;
};

// An own stream of copies that waits for nobody and for which nobody waits. One thread at a time.
class CopyStream {
 public:
  explicit CopyStream(std::shared_ptr<const CudaDevice> device);  // throws CudaError
  ~CopyStream();  // waits for what is under way, so that its memory may go
  CopyStream(const CopyStream&) = delete;
  CopyStream& operator=(const CopyStream&) = delete;

  // Begin a copy. From registered memory they return at once. Throw CudaError.
  void CopyToDevice(CuAddress to, const void* from, std::size_t size);
  void CopyToHost(void* to, CuAddress from, std::size_t size);
  // Until all that was begun is done. Throws CudaError when some of it failed.
  void Wait();

 private:
  std::shared_ptr<const CudaDevice> device_;
  CuStream stream_ = nullptr;
};

}  // namespace hearth

#endif  // HEARTH_DEVICE_CUDA_DEVICE_H_
