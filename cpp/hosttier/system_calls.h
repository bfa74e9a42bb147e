#ifndef HEARTH_HOSTTIER_SYSTEM_CALLS_H_
#define HEARTH_HOSTTIER_SYSTEM_CALLS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>

#include "checkpoint/byte_source.h"

struct stat;

namespace hearth {

// What the host tier asks of the kernel, so that a test can have any of it refused. Each function
// that returns an int returns 0 or an errno. Thread-safe.
class SystemCalls {
 public:
  virtual ~SystemCalls() = default;

  virtual int Open(const std::string& path, int flags, int& descriptor) const = 0;
  virtual void Close(int descriptor) const noexcept = 0;
  virtual int StatusOf(int descriptor, struct stat& status) const = 0;
  virtual int StatusOfPath(const std::string& path, struct stat& status) const = 0;
  // The magic number of the file system.
  virtual int FileSystemOf(int descriptor, std::int64_t& magic) const = 0;
  virtual ReadOutcome Read(int descriptor, std::uint64_t offset, char* into,
                           std::size_t size) const = 0;
  // Has the kernel begin to read; does not wait for the bytes.
  virtual int WillNeed(int descriptor, std::uint64_t offset, std::uint64_t size) const = 0;

  // Shared and read-only.
  virtual int MapFile(int descriptor, std::size_t size, void*& address) const = 0;
  // Private, zeroed, writable.
  virtual int MapAnonymous(std::size_t size, void*& address) const = 0;
  virtual void Unmap(void* address, std::size_t size) const noexcept = 0;
  virtual int Advise(const void* address, std::size_t size, int advice) const = 0;
  // One byte a page; its lowest bit: the page is in RAM.
  virtual int InMemory(const void* address, std::size_t size, unsigned char* pages) const = 0;
  virtual int Lock(const void* address, std::size_t size) const = 0;
  virtual void Unlock(const void* address, std::size_t size) const noexcept = 0;

  // A thread that leaves the process's signals to others. Throws std::system_error.
  virtual std::thread StartThread(std::function<void()> body) const = 0;
};

// The real ones.
class LinuxSystemCalls : public SystemCalls {
 public:
  int Open(const std::string& path, int flags, int& descriptor) const override;
  void Close(int descriptor) const noexcept override;
  int StatusOf(int descriptor, struct stat& status) const override;
  int StatusOfPath(const std::string& path, struct stat& status) const override;
  int FileSystemOf(int descriptor, std::int64_t& magic) const override;
  ReadOutcome Read(int descriptor, std::uint64_t offset, char* into,
                   std::size_t size) const override;
  int WillNeed(int descriptor, std::uint64_t offset, std::uint64_t size) const override;
  int MapFile(int descriptor, std::size_t size, void*& address) const override;
  int MapAnonymous(std::size_t size, void*& address) const override;
  void Unmap(void* address, std::size_t size) const noexcept override;
  int Advise(const void* address, std::size_t size, int advice) const override;
  int InMemory(const void* address, std::size_t size, unsigned char* pages) const override;
  int Lock(const void* address, std::size_t size) const override;
  void Unlock(const void* address, std::size_t size) const noexcept override;
  std::thread StartThread(std::function<void()> body) const override;
};

std::size_t PageSize();
std::size_t RoundUpToPage(std::size_t bytes);

}  // namespace hearth

#endif  // HEARTH_HOSTTIER_SYSTEM_CALLS_H_
