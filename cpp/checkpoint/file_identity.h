#ifndef HEARTH_CHECKPOINT_FILE_IDENTITY_H_
#define HEARTH_CHECKPOINT_FILE_IDENTITY_H_

#include <cstdint>
#include <string>

struct stat;

namespace hearth {

// Which file a name stands for at this moment. Two equal identities are the same bytes, as far as
// the file system can tell without reading them; a replaced or rewritten file has another one.
struct FileIdentity {
  std::string real_path;  // all links resolved; for opening, never for answers or logs
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;
  std::uint64_t inode = 0;

  bool operator==(const FileIdentity&) const = default;
  // One stable line without the path, which appears as a hash. Part of a ModelKey.
  std::string ToString() const;
};

// Asks the file system only; opens nothing, so a pipe or a device is harmless. Follows links.
// Throws CheckpointNotFound when there is no such file, a link to nothing included, and
// CheckpointCorrupt when it is not a regular file or may not be looked at. Messages carry the
// file's name, never its folder. Thread-safe.
FileIdentity IdentifyFile(const std::string& path);

// The path with all links followed, without opening anything. Throws as IdentifyFile() does.
std::string ResolveLinks(const std::string& path);

// The identity of a file whose status is already known.
FileIdentity MakeFileIdentity(std::string real_path, const struct stat& status);

// "a directory", "a pipe", …: what a status says the file is.
std::string DescribeFileType(const struct stat& status);

// The last part of a path, made fit for one line of text: control bytes escaped, long names cut.
std::string DisplayName(const std::string& path);

}  // namespace hearth

#endif  // HEARTH_CHECKPOINT_FILE_IDENTITY_H_
