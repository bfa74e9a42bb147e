#include "keeper/memlock.h"

#include <pwd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <string>

#include "base/bytes.h"

namespace hearth {
namespace {

constexpr std::uint64_t kMib = std::uint64_t{1} << 20;

// capabilities(7): with this one, RLIMIT_MEMLOCK is not looked at.
bool HasIpcLock() {
  constexpr unsigned kCapIpcLock = 14;
  std::ifstream status("/proc/self/status");
  std::string key;
  std::string rest;
  std::uint64_t effective = 0;
  while (status >> key) {
    if (key == "CapEff:" && status >> std::hex >> effective) {
      return ((effective >> kCapIpcLock) & 1) != 0;
    }
    std::getline(status, rest);
  }
  return false;
}

std::string UserName() {
  std::array<char, 4096> text{};
  struct passwd entry{};
  struct passwd* found = nullptr;
  ::getpwuid_r(::geteuid(), &entry, text.data(), text.size(), &found);
  return found == nullptr ? std::to_string(::geteuid()) : found->pw_name;
}

}  // namespace

std::optional<std::uint64_t> LockableBytes() {
  struct rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return std::nullopt;
  if (limit.rlim_cur == RLIM_INFINITY || HasIpcLock()) return std::nullopt;
  return static_cast<std::uint64_t>(limit.rlim_cur);
}

void RaiseMemlockLimit() noexcept {
  struct rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  static_cast<void>(::setrlimit(RLIMIT_MEMLOCK, &limit));
}

std::string MemlockAdvice(std::uint64_t needed, std::uint64_t lockable) {
  // In whole MiB, rounded up: what is named must suffice.
  const std::uint64_t mib = (needed + kMib - 1) / kMib;
  const std::string kib = std::to_string(mib * 1024);
  return "this process may lock " + FormatBytes(lockable) + ", and " + FormatBytes(needed) +
         " are to be kept: `ulimit -l " + kib +
         "` in the shell that starts the keeper, `LimitMEMLOCK=" + std::to_string(mib) +
         "M` in hearth-keeper.service, or `" + UserName() + " - memlock " + kib +
         "` in /etc/security/limits.conf and a new login.";
}

}  // namespace hearth
