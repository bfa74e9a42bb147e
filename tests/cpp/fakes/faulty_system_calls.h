#ifndef HEARTH_TESTS_FAKES_FAULTY_SYSTEM_CALLS_H_
#define HEARTH_TESTS_FAKES_FAULTY_SYSTEM_CALLS_H_

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "hosttier/system_calls.h"

namespace hearth {

// The real kernel, of which a test can have the nth call refused, or all of one sort. Thread-safe;
// set up before it is used.
class FaultySystemCalls final : public SystemCalls {
 public:
  enum Call { kOpen, kStatus, kRead, kMap, kAnonymous, kAdvise, kInMemory, kLock, kThread, kCalls };

  static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

  std::atomic<std::uint64_t> fail_at{kNever};  // the nth of all calls, counted from 0, fails
  int errors[kCalls] = {};                     // each call of this sort fails so
  std::size_t most_per_read = std::numeric_limits<std::size_t>::max();
  bool interrupts = false;  // every other read, before it reads
  std::uint64_t read_fails_at = kNever;
  std::uint64_t ends_at = kNever;
  std::function<void()> on_advise;  // before each
  std::function<void(const void*)> on_advise_at;

  std::uint64_t calls() const { return calls_.load(); }
  std::uint64_t reads() const { return reads_.load(); }
  bool has_failed() const { return has_failed_.load(); }

  int Open(const std::string& path, int flags, int& descriptor) const override {
    if (const int error = Fault(kOpen, EMFILE)) return error;
    return real_.Open(path, flags, descriptor);
  }
  void Close(int descriptor) const noexcept override { real_.Close(descriptor); }
  int StatusOf(int descriptor, struct stat& status) const override {
    if (const int error = Fault(kStatus, EIO)) return error;
    return real_.StatusOf(descriptor, status);
  }
  int StatusOfPath(const std::string& path, struct stat& status) const override {
    if (const int error = Fault(kStatus, EIO)) return error;
    return real_.StatusOfPath(path, status);
  }
  int FileSystemOf(int descriptor, std::int64_t& magic) const override {
    return real_.FileSystemOf(descriptor, magic);
  }
  ReadOutcome Read(int descriptor, std::uint64_t offset, char* into,
                   std::size_t size) const override {
    if (const int error = Fault(kRead, EIO)) return {.error = error};
    if (interrupts && reads_.fetch_add(1) % 2 == 0) return {.error = EINTR};
    if (offset >= read_fails_at) return {.error = EIO};
    if (offset >= ends_at) return {};
    const std::uint64_t last = std::min(read_fails_at, ends_at);
    const std::size_t most = std::min<std::uint64_t>({size, most_per_read, last - offset});
    return real_.Read(descriptor, offset, into, most);
  }
  int WillNeed(int descriptor, std::uint64_t offset, std::uint64_t size) const override {
    return real_.WillNeed(descriptor, offset, size);
  }
  int MapFile(int descriptor, std::size_t size, void*& address) const override {
    if (const int error = Fault(kMap, ENOMEM)) return error;
    return real_.MapFile(descriptor, size, address);
  }
  int MapAnonymous(std::size_t size, void*& address) const override {
    if (const int error = Fault(kAnonymous, ENOMEM)) return error;
    return real_.MapAnonymous(size, address);
  }
  void Unmap(void* address, std::size_t size) const noexcept override {
    real_.Unmap(address, size);
  }
  int Advise(const void* address, std::size_t size, int advice) const override {
    if (on_advise) on_advise();
    if (on_advise_at) on_advise_at(address);
    if (const int error = Fault(kAdvise, EINVAL)) return error;
    return real_.Advise(address, size, advice);
  }
  int InMemory(const void* address, std::size_t size, unsigned char* pages) const override {
    if (const int error = Fault(kInMemory, ENOMEM)) return error;
    return real_.InMemory(address, size, pages);
  }
  int Lock(const void* address, std::size_t size) const override {
    if (const int error = Fault(kLock, ENOMEM)) return error;
    return real_.Lock(address, size);
  }
  void Unlock(const void* address, std::size_t size) const noexcept override {
    real_.Unlock(address, size);
  }
  std::thread StartThread(std::function<void()> body) const override {
    if (const int error = Fault(kThread, EAGAIN)) {
      throw std::system_error(error, std::generic_category(), "no thread");
    }
    return real_.StartThread(std::move(body));
  }

 private:
  int Fault(Call call, int error) const {
    if (errors[call] != 0) return errors[call];
    if (calls_.fetch_add(1) != fail_at.load()) return 0;
    has_failed_.store(true);
    return error;
  }

  LinuxSystemCalls real_;
  mutable std::atomic<std::uint64_t> calls_{0};
  mutable std::atomic<std::uint64_t> reads_{0};
  mutable std::atomic<bool> has_failed_{false};
};

}  // namespace hearth

#endif  // HEARTH_TESTS_FAKES_FAULTY_SYSTEM_CALLS_H_
