#include "hosttier/system_calls.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace hearth {
namespace {

int ErrnoIf(bool failed) { return failed ? errno : 0; }

// Threads inherit the mask. A signal meant for Python must not interrupt a read of ours; the faults
// are kept, because a blocked SIGBUS kills the process instead of reaching the fault guard.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    for (const int fault : {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGABRT, SIGTRAP}) {
      sigdelset(&all, fault);
    }
    pthread_sigmask(SIG_BLOCK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

}  // namespace

std::size_t PageSize() {
  static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

std::size_t RoundUpToPage(std::size_t bytes) {
  const std::size_t page = PageSize();
  return (bytes + page - 1) / page * page;
}

int LinuxSystemCalls::Open(const std::string& path, int flags, int& descriptor) const {
  do {
    descriptor = ::open(path.c_str(), flags);
  } while (descriptor < 0 && errno == EINTR);
  return ErrnoIf(descriptor < 0);
}

void LinuxSystemCalls::Close(int descriptor) const noexcept { ::close(descriptor); }

int LinuxSystemCalls::StatusOf(int descriptor, struct stat& status) const {
  return ErrnoIf(::fstat(descriptor, &status) != 0);
}

int LinuxSystemCalls::StatusOfPath(const std::string& path, struct stat& status) const {
  return ErrnoIf(::stat(path.c_str(), &status) != 0);
}

int LinuxSystemCalls::FileSystemOf(int descriptor, std::int64_t& magic) const {
  struct statfs status{};
  const int error = ErrnoIf(::fstatfs(descriptor, &status) != 0);
  magic = static_cast<std::int64_t>(status.f_type);
  return error;
}

ReadOutcome LinuxSystemCalls::Read(int descriptor, std::uint64_t offset, char* into,
                                   std::size_t size) const {
  const ssize_t bytes = ::pread(descriptor, into, size, static_cast<off_t>(offset));
  if (bytes < 0) return {.error = errno};
  return {.bytes = static_cast<std::size_t>(bytes)};
}

int LinuxSystemCalls::WillNeed(int descriptor, std::uint64_t offset, std::uint64_t size) const {
  return ::posix_fadvise(descriptor, static_cast<off_t>(offset), static_cast<off_t>(size),
                         POSIX_FADV_WILLNEED);
}

int LinuxSystemCalls::MapFile(int descriptor, std::size_t size, void*& address) const {
  address = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor, 0);
  return ErrnoIf(address == MAP_FAILED);
}

int LinuxSystemCalls::MapAnonymous(std::size_t size, void*& address) const {
  address = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return ErrnoIf(address == MAP_FAILED);
}

void LinuxSystemCalls::Unmap(void* address, std::size_t size) const noexcept {
  ::munmap(address, size);
}

int LinuxSystemCalls::Advise(const void* address, std::size_t size, int advice) const {
  return ErrnoIf(::madvise(const_cast<void*>(address), size, advice) != 0);
}

int LinuxSystemCalls::InMemory(const void* address, std::size_t size, unsigned char* pages) const {
  return ErrnoIf(::mincore(const_cast<void*>(address), size, pages) != 0);
}

int LinuxSystemCalls::Lock(const void* address, std::size_t size) const {
  return ErrnoIf(::mlock(address, size) != 0);
}

void LinuxSystemCalls::Unlock(const void* address, std::size_t size) const noexcept {
  ::munlock(address, size);
}

std::thread LinuxSystemCalls::StartThread(std::function<void()> body) const {
  const SignalsBlocked blocked;
  return std::thread(std::move(body));
}

}  // namespace hearth
