#ifndef HEARTH_CHECKPOINT_CHECKPOINT_FILE_H_
#define HEARTH_CHECKPOINT_CHECKPOINT_FILE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/byte_source.h"
#include "checkpoint/file_identity.h"

namespace hearth {

// Where a file may lie once all links are followed. Empty: anywhere.
struct AllowedRoots {
  std::vector<std::string> folders;
};

// An open checkpoint. Opening never waits and touches regular files only: a pipe, a device, a
// directory or a link out of the roots is refused before it is opened. Thread-safe; move-only.
class CheckpointFile final : public ByteSource {
 public:
  // Throws CheckpointNotFound or CheckpointCorrupt.
  explicit CheckpointFile(const std::string& path, const AllowedRoots& roots = {});
  CheckpointFile(CheckpointFile&& other) noexcept;
  CheckpointFile& operator=(CheckpointFile&&) = delete;
  ~CheckpointFile() override;

  const std::string& name() const override { return name_; }
  std::uint64_t size() const override { return identity_.size; }
  ReadOutcome ReadAt(std::uint64_t offset, char* into, std::size_t size) const override;
  bool IsFresh() const override;

  // As of opening.
  const FileIdentity& identity() const { return identity_; }
  // Throws CheckpointCorrupt when the file was written to since it was opened: what was read may be
  // half old and half new.
  void RequireUnchanged() const;
  // The first byte that was never written, where the file system can tell: a download in progress.
  std::optional<std::uint64_t> FirstUnwrittenByte() const;

 private:
  std::string name_;
  FileIdentity identity_;
  int descriptor_;
};

}  // namespace hearth

#endif  // HEARTH_CHECKPOINT_CHECKPOINT_FILE_H_
