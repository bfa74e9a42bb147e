#ifndef HEARTH_HOSTTIER_MAPPED_FILE_H_
#define HEARTH_HOSTTIER_MAPPED_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "hosttier/fault_guard.h"
#include "hosttier/system_calls.h"

namespace hearth {

// Which file, for as long as it is open: two equal ones are the same bytes.
struct HostFileIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;

  auto operator<=>(const HostFileIdentity&) const = default;
};

// An open file, and its bytes mapped shared and read-only once Map() was called. Thread-safe after
// that; does not move, because others know its address.
class MappedFile {
 public:
  // Opens a regular file that is not empty. Throws CheckpointNotFound or CheckpointCorrupt.
  MappedFile(std::shared_ptr<const SystemCalls> system, const std::string& path);
  // REQUIRES: nothing refers to the bytes any more.
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  // 0, or the errno for which the bytes cannot be mapped; the file can then still be read.
  int Map();

  const HostFileIdentity& identity() const { return identity_; }
  const std::string& name() const { return name_; }  // for people: no folder
  const std::string& path() const { return path_; }  // never for answers or logs
  const char* file_system() const;
  int descriptor() const { return descriptor_; }
  std::uint64_t size() const { return identity_.size; }
  const std::byte* address() const { return address_; }  // nullptr: not mapped
  const SystemCalls& system() const { return *system_; }

  // The bytes were truncated or could not be read, and somebody has seen zeros instead.
  bool has_faulted() const { return guard_ && guard_->has_faulted(); }
  // Written to since it was opened.
  bool HasChanged() const;
  // Another file has taken its place under the same name.
  bool IsReplaced() const;

 private:
  void Identify();

  std::shared_ptr<const SystemCalls> system_;
  std::string path_;
  std::string name_;
  int descriptor_ = -1;
  HostFileIdentity identity_;
  std::byte* address_ = nullptr;
  std::optional<FaultGuard> guard_;
};

}  // namespace hearth

#endif  // HEARTH_HOSTTIER_MAPPED_FILE_H_
