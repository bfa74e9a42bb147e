#include "device/cuda_host.h"

#include <array>
#include <exception>

#include "base/error.h"
#include "device/cublas_lt.h"

namespace hearth {

DriverAnswer CudaHost::Driver() {
  {
    MutexLock lock(mutex_);
    while (is_loading_) loaded_.Wait(mutex_);
    if (answer_) return *answer_;
    is_loading_ = true;
  }
  DriverAnswer answer = load_();  // not under the lock: it takes a while
  MutexLock lock(mutex_);
  answer_ = answer;
  is_loading_ = false;
  loaded_.NotifyAll();
  return answer;
}

DeviceReport CudaHost::Probe() {
  const DriverAnswer answer = Driver();
  if (answer.driver == nullptr) return {0, answer.reason, {}};
  const DriverApi& api = answer.driver->api();
  DeviceReport report;
  int count = 0;
  static_cast<void>(api.driver_get_version(&report.driver_version));
  const CuResult result = api.device_get_count(&count);
  if (result != kCuSuccess) report.reason = answer.driver->Describe(result, "cuDeviceGetCount");
  if (result == kCuSuccess && count == 0) report.reason = "the NVIDIA driver finds no GPU";
  for (int index = 0; index < count; ++index) {
    CuDeviceId id = 0;
    std::array<char, 256> name{};
    std::size_t total = 0;
    if (api.device_get(&id, index) != kCuSuccess) continue;
    static_cast<void>(api.device_get_name(name.data(), static_cast<int>(name.size()) - 1, id));
    static_cast<void>(api.device_total_memory(&total, id));
    report.devices.push_back({index, name.data(), total, std::nullopt});
  }
  for (DeviceInfo& info : report.devices) {
    if (const auto device = Opened(info.index)) info.free_bytes = device->Memory().free;
  }
  return report;
}

std::shared_ptr<const CudaDevice> CudaHost::Opened(int index) {
  MutexLock lock(mutex_);
  const auto open = devices_.find(index);
  return open == devices_.end() ? nullptr : open->second;
}

std::shared_ptr<const EngineKernels> CudaHost::Kernels(int index) {
  const std::shared_ptr<const CudaDevice> device = Open(index);
  MutexLock lock(kernels_mutex_);
  std::shared_ptr<const EngineKernels>& kernels = kernels_[index];
  if (!kernels) kernels = std::make_shared<const EngineKernels>(device);
  return kernels;
}

EngineKernels::EngineKernels(const std::shared_ptr<const CudaDevice>& device)
    : transformer(device), vae(device), products(FindCublasLt(device)) {
  if (transformer.compute_capability() < RowQuantiser::kMinComputeCapability) return;
  quantiser = std::make_unique<const RowQuantiser>(device);
}

void CudaHost::Abandon() {
  MutexLock lock(mutex_);
  for (const auto& [index, device] : devices_) device->Abandon();
}

std::shared_ptr<const CudaDevice> CudaHost::Open(int index) {
  const DriverAnswer answer = Driver();
  if (answer.driver == nullptr) {
    throw CudaError("device " + std::to_string(index) + " cannot be used: " + answer.reason + ".");
  }
  if (auto device = Opened(index)) return device;
  // Two threads may both come here; a context is retained twice then, which changes nothing.
  auto device = std::make_shared<const CudaDevice>(answer.driver, index);
  MutexLock lock(mutex_);
  return devices_.try_emplace(index, std::move(device)).first->second;
}

std::shared_ptr<CudaRegistrar> CudaHost::Registrar() {
  {
    MutexLock lock(mutex_);
    if (registrar_ != nullptr) return registrar_;
  }
  const DriverAnswer answer = Driver();
  // The device that this thread works with, so that no context is made for its sake alone.
  CuDeviceId id = 0;
  const bool has_one =
      answer.driver != nullptr && answer.driver->api().context_get_device(&id) == kCuSuccess;
  auto registrar = std::make_shared<CudaRegistrar>(Open(has_one ? id : 0));
  MutexLock lock(mutex_);
  if (registrar_ == nullptr) registrar_ = std::move(registrar);
  return registrar_;
}

RegisterOutcome CudaHost::Register(const void* address, std::size_t size) noexcept {
  try {
    return Registrar()->Register(address, size);
  } catch (const std::exception& error) {
    return {false, error.what()};
  }
}

bool CudaHost::Unregister(const void* address) noexcept {
  std::shared_ptr<CudaRegistrar> registrar;
  {
    MutexLock lock(mutex_);
    registrar = registrar_;
  }
  return registrar == nullptr || registrar->Unregister(address);
}

bool CudaHost::CopiesSpanRanges() noexcept {
  try {
    return Registrar()->CopiesSpanRanges();
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace hearth
