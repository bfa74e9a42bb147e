#include "fakes/fake_driver.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <set>
#include <thread>

#include "fakes/failing_new.h"

namespace hearth {
namespace {

constexpr CuResult kInvalidValue = 1;
constexpr CuResult kInvalidContext = 201;
constexpr CuResult kAlreadyRegistered = 712;
constexpr std::size_t kGrain = std::size_t{2} << 20;

}  // namespace

class FakeDriver::State {
 public:
  explicit State(int devices) : device_count(devices) {}

  // The gate that every function goes through: 0, or the error it is to return.
  CuResult Enter(const char* name, bool needs_context = true) HEARTH_REQUIRES(mutex) {
    if (needs_context && ContextDepth() == 0) {
      misuses.push_back(std::string(name) + " without a context");
      return kInvalidContext;
    }
    ++calls;
    const auto refused = refusals.find(name);
    if (refused != refusals.end()) return refused->second;
    // What undoes, and entering a context for it, fails only when the driver is broken as a whole.
    static const std::set<std::string> undoes = {"cuCtxPushCurrent", "cuMemHostUnregister",
                                                 "cuStreamDestroy",  "cuMemAddressFree",
                                                 "cuMemRelease",     "cuMemUnmap"};
    const bool is_spared = !undoing_fails && undoes.count(name) > 0;
    if (is_spared || may_fail++ != fail_at) return kCuSuccess;
    has_failed = true;
    return error;
  }

  std::vector<int>& Contexts() HEARTH_REQUIRES(mutex) {
    return contexts[std::hash<std::thread::id>{}(std::this_thread::get_id())];
  }
  std::size_t ContextDepth() HEARTH_REQUIRES(mutex) { return Contexts().size(); }

  // The registered range that an address lies in; ranges.end(): none.
  std::map<std::uintptr_t, std::size_t>::iterator RangeOf(std::uintptr_t address)
      HEARTH_REQUIRES(mutex) {
    auto next = ranges.upper_bound(address);
    if (next == ranges.begin()) return ranges.end();
    --next;
    return address < next->first + next->second ? next : ranges.end();
  }

  CuResult CheckSource(std::uintptr_t from, std::size_t size) HEARTH_REQUIRES(mutex) {
    const auto first = RangeOf(from);
    const auto last = RangeOf(from + size - 1);
    if (first == ranges.end() || last == ranges.end()) ++pageable_copies;
    if (first != last && first != ranges.end() && !copies_span) return kInvalidValue;
    return kCuSuccess;
  }

  struct Copy {
    void* to;
    const void* from;
    std::size_t size;
  };

  Mutex mutex;
  const int device_count;
  std::uint64_t calls HEARTH_GUARDED_BY(mutex) = 0;
  std::uint64_t may_fail HEARTH_GUARDED_BY(mutex) = 0;
  std::uint64_t fail_at HEARTH_GUARDED_BY(mutex) = kNever;
  CuResult error HEARTH_GUARDED_BY(mutex) = 999;
  bool has_failed HEARTH_GUARDED_BY(mutex) = false;
  bool undoing_fails HEARTH_GUARDED_BY(mutex) = false;
  bool copies_span HEARTH_GUARDED_BY(mutex) = true;
  std::map<std::string, CuResult> refusals HEARTH_GUARDED_BY(mutex);
  std::map<std::size_t, std::vector<int>> contexts HEARTH_GUARDED_BY(mutex);
  std::map<std::uintptr_t, std::size_t> ranges HEARTH_GUARDED_BY(mutex);
  std::map<CuStream, std::vector<Copy>> streams HEARTH_GUARDED_BY(mutex);
  std::map<CuAddress, std::size_t> reserved HEARTH_GUARDED_BY(mutex);
  std::set<CuAllocation> allocations HEARTH_GUARDED_BY(mutex);
  std::set<CuAddress> mapped HEARTH_GUARDED_BY(mutex);
  std::uint64_t next_id HEARTH_GUARDED_BY(mutex) = 1;
  std::uint64_t pageable_copies HEARTH_GUARDED_BY(mutex) = 0;
  std::vector<std::string> misuses HEARTH_GUARDED_BY(mutex);
};

namespace {

std::atomic<FakeDriver::State*> current{nullptr};
FakeDriver::State& Now() { return *current.load(); }

// Runs `body` under the lock, once the gate has let it through.
template <typename Body>
CuResult Do(const char* name, bool needs_context, Body body) {
  const SparedFromFailing spared;
  FakeDriver::State& state = Now();
  MutexLock lock(state.mutex);
  const CuResult refusal = state.Enter(name, needs_context);
  if (refusal != kCuSuccess) return refusal;
  return body(state);
}

void SetDevices(DriverApi& api) {
  api.device_get_count = [](int* count) {
    *count = Now().device_count;
    return kCuSuccess;
  };
  api.device_get = [](CuDeviceId* device, int index) {
    *device = index;
    return index >= 0 && index < Now().device_count ? kCuSuccess : 101;
  };
  api.device_get_name = [](char* name, int size, CuDeviceId) {
    std::strncpy(name, "Fake GPU", static_cast<std::size_t>(size));
    return kCuSuccess;
  };
  api.device_get_attribute = [](int* value, int, CuDeviceId) {
    *value = 1;
    return kCuSuccess;
  };
  api.device_total_memory = [](std::size_t* bytes, CuDeviceId) {
    *bytes = std::size_t{8} << 30;
    return kCuSuccess;
  };
}

void SetContexts(DriverApi& api) {
  api.init = [](unsigned) { return Do("cuInit", false, [](auto&) { return kCuSuccess; }); };
  api.driver_get_version = [](int* version) {
    *version = 13000;
    return kCuSuccess;
  };
  api.get_error_name = [](CuResult error, const char** name) {
    *name = error == kCuOutOfMemory ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_UNKNOWN";
    return kCuSuccess;
  };
  api.primary_context_retain = [](CuContext* context, CuDeviceId device) {
    return Do("cuDevicePrimaryCtxRetain", false, [&](auto&) {
      *context = reinterpret_cast<CuContext>(static_cast<std::uintptr_t>(device) + 1);
      return kCuSuccess;
    });
  };
  api.context_push = [](CuContext context) {
    return Do("cuCtxPushCurrent", false, [&](FakeDriver::State& state) {
      state.Contexts().push_back(static_cast<int>(reinterpret_cast<std::uintptr_t>(context)) - 1);
      return kCuSuccess;
    });
  };
  api.context_pop = [](CuContext*) {  // never fails: a test could not tell what is left then
    FakeDriver::State& state = Now();
    MutexLock lock(state.mutex);
    state.Contexts().pop_back();
    return kCuSuccess;
  };
  api.context_get_device = [](CuDeviceId* device) -> CuResult {
    FakeDriver::State& state = Now();
    MutexLock lock(state.mutex);
    if (state.Contexts().empty()) return kInvalidContext;
    *device = state.Contexts().back();
    return kCuSuccess;
  };
}

void SetHostMemory(DriverApi& api) {
  api.host_register = [](void* address, std::size_t size, unsigned) {
    return Do("cuMemHostRegister", true, [&](FakeDriver::State& state) -> CuResult {
      const auto from = reinterpret_cast<std::uintptr_t>(address);
      if (state.RangeOf(from) != state.ranges.end()) return kAlreadyRegistered;
      state.ranges[from] = size;
      return kCuSuccess;
    });
  };
  api.host_unregister = [](void* address) {
    return Do("cuMemHostUnregister", true, [&](FakeDriver::State& state) -> CuResult {
      if (state.ranges.erase(reinterpret_cast<std::uintptr_t>(address)) == 1) return kCuSuccess;
      state.misuses.push_back("unregistered what was not registered");
      return kInvalidValue;
    });
  };
  api.host_get_flags = [](unsigned* flags, void* address) -> CuResult {
    FakeDriver::State& state = Now();
    MutexLock lock(state.mutex);
    *flags = 0;
    const auto from = reinterpret_cast<std::uintptr_t>(address);
    return state.RangeOf(from) == state.ranges.end() ? kInvalidValue : kCuSuccess;
  };
}

void SetCopies(DriverApi& api) {
  api.stream_create = [](CuStream* stream, unsigned flags) {
    return Do("cuStreamCreate", true, [&](FakeDriver::State& state) {
      if (flags != kCuStreamNonBlocking) state.misuses.push_back("a stream that blocks");
      *stream = reinterpret_cast<CuStream>(state.next_id++);
      state.streams[*stream];
      return kCuSuccess;
    });
  };
  api.stream_synchronize = [](CuStream stream) {
    return Do("cuStreamSynchronize", true, [&](FakeDriver::State& state) {
      for (const FakeDriver::State::Copy& copy : state.streams.at(stream)) {
        std::memcpy(copy.to, copy.from, copy.size);
      }
      state.streams.at(stream).clear();
      return kCuSuccess;
    });
  };
  api.stream_destroy = [](CuStream stream) {
    return Do("cuStreamDestroy", true, [&](FakeDriver::State& state) {
      state.streams.erase(stream);
      return kCuSuccess;
    });
  };
  api.copy_to_device = [](CuAddress to, const void* from, std::size_t size, CuStream stream) {
    return Do("cuMemcpyHtoDAsync", true, [&](FakeDriver::State& state) {
      const CuResult result = state.CheckSource(reinterpret_cast<std::uintptr_t>(from), size);
      if (result == kCuSuccess) {
        state.streams.at(stream).push_back({reinterpret_cast<void*>(to), from, size});
      }
      return result;
    });
  };
  api.copy_to_host = [](void* to, CuAddress from, std::size_t size, CuStream stream) {
    return Do("cuMemcpyDtoHAsync", true, [&](FakeDriver::State& state) {
      state.streams.at(stream).push_back({to, reinterpret_cast<const void*>(from), size});
      return kCuSuccess;
    });
  };
}

void SetReservations(DriverApi& api) {
  api.address_reserve = [](CuAddress* address, std::size_t size, std::size_t, CuAddress,
                           unsigned long long) {
    return Do("cuMemAddressReserve", true, [&](FakeDriver::State& state) {
      *address = reinterpret_cast<CuAddress>(std::malloc(size));
      state.reserved[*address] = size;
      return kCuSuccess;
    });
  };
  api.address_free = [](CuAddress address, std::size_t size) {
    return Do("cuMemAddressFree", true, [&](FakeDriver::State& state) {
      if (state.mapped.count(address) > 0) state.misuses.push_back("freed what is mapped");
      if (state.reserved[address] != size) state.misuses.push_back("freed another size");
      state.reserved.erase(address);
      std::free(reinterpret_cast<void*>(address));
      return kCuSuccess;
    });
  };
  api.granularity = [](std::size_t* bytes, const CuAllocationProperties*, int) {
    return Do("cuMemGetAllocationGranularity", true, [&](auto&) {
      *bytes = kGrain;
      return kCuSuccess;
    });
  };
  api.memory_get_info = [](std::size_t* free, std::size_t* total) {
    return Do("cuMemGetInfo", true, [&](auto&) {
      *free = std::size_t{4} << 30;
      *total = std::size_t{8} << 30;
      return kCuSuccess;
    });
  };
}

void SetAllocations(DriverApi& api) {
  api.allocation_create = [](CuAllocation* allocation, std::size_t size,
                             const CuAllocationProperties*, unsigned long long) {
    return Do("cuMemCreate", true, [&](FakeDriver::State& state) -> CuResult {
      if (size % kGrain != 0) return kInvalidValue;
      *allocation = state.next_id++;
      state.allocations.insert(*allocation);
      return kCuSuccess;
    });
  };
  api.allocation_release = [](CuAllocation allocation) {
    return Do("cuMemRelease", true, [&](FakeDriver::State& state) {
      return state.allocations.erase(allocation) == 1 ? kCuSuccess : kInvalidValue;
    });
  };
  api.map = [](CuAddress address, std::size_t, std::size_t, CuAllocation, unsigned long long) {
    return Do("cuMemMap", true, [&](FakeDriver::State& state) {
      state.mapped.insert(address);
      return kCuSuccess;
    });
  };
  api.unmap = [](CuAddress address, std::size_t) {
    return Do("cuMemUnmap", true, [&](FakeDriver::State& state) {
      return state.mapped.erase(address) == 1 ? kCuSuccess : kInvalidValue;
    });
  };
  api.set_access = [](CuAddress, std::size_t, const CuAccess*, std::size_t) {
    return Do("cuMemSetAccess", true, [](auto&) { return kCuSuccess; });
  };
}

}  // namespace

FakeDriver::FakeDriver(int devices) : state_(std::make_unique<State>(devices)) {
  current.store(state_.get());
}

FakeDriver::~FakeDriver() { current.store(nullptr); }

std::shared_ptr<const CudaDriver> FakeDriver::Driver() {
  DriverApi api{};
  SetDevices(api);
  SetContexts(api);
  SetHostMemory(api);
  SetCopies(api);
  SetReservations(api);
  SetAllocations(api);
  return std::make_shared<const CudaDriver>(api);
}

void FakeDriver::FailAt(std::uint64_t call, CuResult error) {
  MutexLock lock(state_->mutex);
  state_->may_fail = 0;
  state_->fail_at = call;
  state_->error = error;
  state_->has_failed = false;
}

void FakeDriver::Refuse(const std::string& function, CuResult error) {
  MutexLock lock(state_->mutex);
  state_->refusals[function] = error;
}

void FakeDriver::LetUndoingFail() {
  MutexLock lock(state_->mutex);
  state_->undoing_fails = true;
}

std::map<std::uintptr_t, std::size_t> FakeDriver::registered() const {
  MutexLock lock(state_->mutex);
  return state_->ranges;
}

void FakeDriver::set_copies_span(bool span) {
  MutexLock lock(state_->mutex);
  state_->copies_span = span;
}

bool FakeDriver::has_failed() const {
  MutexLock lock(state_->mutex);
  return state_->has_failed;
}

std::uint64_t FakeDriver::calls() const {
  MutexLock lock(state_->mutex);
  return state_->calls;
}

std::string FakeDriver::Leftovers() const {
  MutexLock lock(state_->mutex);
  std::string left;
  const auto add = [&](const char* what, std::size_t count) {
    if (count > 0) left += std::to_string(count) + " " + what + " ";
  };
  add("ranges", state_->ranges.size());
  add("streams", state_->streams.size());
  add("reservations", state_->reserved.size());
  add("allocations", state_->allocations.size());
  add("mappings", state_->mapped.size());
  for (const auto& [thread, contexts] : state_->contexts) add("contexts", contexts.size());
  return left;
}

std::uint64_t FakeDriver::pageable_copies() const {
  MutexLock lock(state_->mutex);
  return state_->pageable_copies;
}

std::vector<std::string> FakeDriver::misuses() const {
  MutexLock lock(state_->mutex);
  return state_->misuses;
}

}  // namespace hearth
