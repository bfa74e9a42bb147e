#include "hosttier/fault_guard.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>

namespace hearth {
namespace {

// A signal handler is the process's, so what it reads is too. It takes no lock and allocates
// nothing: slots are claimed, filled and emptied through atomics alone.
struct Slot {
  std::atomic<bool> claimed{false};
  std::atomic<std::uintptr_t> begin{0};  // 0: not watched
  std::atomic<std::uintptr_t> end{0};
  std::atomic<bool> faulted{false};
};

constexpr int kSlots = 512;
constinit std::array<Slot, kSlots> slots{};
// What was there before; written before our handler is, and then only read.
constinit struct sigaction previous{};
// The thread that is inside the previous handler: some hand the signal back to us, for ever.
constinit std::atomic<pid_t> chaining{0};

static_assert(std::atomic<std::uintptr_t>::is_always_lock_free);

Slot* SlotOf(std::uintptr_t address) {
  for (Slot& slot : slots) {
    const std::uintptr_t begin = slot.begin.load(std::memory_order_acquire);
    if (begin != 0 && begin <= address && address < slot.end.load(std::memory_order_relaxed)) {
      return &slot;
    }
  }
  return nullptr;
}

bool MapZeros(Slot& slot, std::uintptr_t address) {
  // Before the zeros can be seen: whoever reads them must find the range poisoned.
  slot.faulted.store(true, std::memory_order_release);
  const auto page = static_cast<std::uintptr_t>(::getpagesize());
  const std::uintptr_t from = address / page * page;
  const std::uintptr_t end = slot.end.load(std::memory_order_relaxed);
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
  // The kernel's own call: a wrapper around mmap() need not be safe in a handler.
  const long zeros = ::syscall(SYS_mmap, from, end - from, PROT_READ, kFlags, -1, 0);
  return zeros == static_cast<long>(from);
}

void RestoreDefault(int signal) {
  struct sigaction action{};
  action.sa_handler = SIG_DFL;
  ::sigaction(signal, &action, nullptr);
}

void Chain(int signal, siginfo_t* info, void* context) {
  const auto self = static_cast<pid_t>(::syscall(SYS_gettid));
  const bool came_back = chaining.load() == self;
  const bool has_handler = (previous.sa_flags & SA_SIGINFO) != 0 ||
                           (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN);
  if (came_back || !has_handler) {
    // The instruction faults again, or the signal is sent again, and the process ends as it would
    // have without us.
    RestoreDefault(signal);
    if (info->si_code <= 0) ::raise(signal);
    return;
  }
  chaining.store(self);
  if ((previous.sa_flags & SA_SIGINFO) != 0) {
    previous.sa_sigaction(signal, info, context);
  } else {
    previous.sa_handler(signal);
  }
  chaining.store(0);
}

void OnBusError(int signal, siginfo_t* info, void* context) {
  const bool is_fault = info->si_code > 0;  // otherwise somebody sent it
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  Slot* const slot = is_fault ? SlotOf(address) : nullptr;
  if (slot != nullptr && MapZeros(*slot, address)) return;
  Chain(signal, info, context);
}

// Once a process. A handler that somebody installs later comes before ours, and hands on to it or
// not; taking the place back would make two handlers that call each other.
void InstallOnce() {
  static const bool installed = [] {
    struct sigaction action{};
    action.sa_sigaction = &OnBusError;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTART;
    sigemptyset(&action.sa_mask);
    ::sigaction(SIGBUS, nullptr, &previous);
    return ::sigaction(SIGBUS, &action, nullptr) == 0;
  }();
  static_cast<void>(installed);
}

}  // namespace

FaultGuard::FaultGuard(const void* address, std::size_t size) noexcept {
  InstallOnce();
  for (int i = 0; i < kSlots; ++i) {
    Slot& slot = slots[static_cast<std::size_t>(i)];
    bool expected = false;
    if (!slot.claimed.compare_exchange_strong(expected, true)) continue;
    const auto begin = reinterpret_cast<std::uintptr_t>(address);
    slot.faulted.store(false, std::memory_order_relaxed);
    slot.end.store(begin + size, std::memory_order_relaxed);
    slot.begin.store(begin, std::memory_order_release);
    slot_ = i;
    return;
  }
}

FaultGuard::~FaultGuard() {
  if (slot_ < 0) return;
  Slot& slot = slots[static_cast<std::size_t>(slot_)];
  slot.begin.store(0, std::memory_order_release);
  slot.claimed.store(false, std::memory_order_release);
}

bool FaultGuard::has_faulted() const noexcept {
  return slot_ >= 0 &&
         slots[static_cast<std::size_t>(slot_)].faulted.load(std::memory_order_acquire);
}

}  // namespace hearth
