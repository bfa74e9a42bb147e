#include "checkpoint/checkpoint_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <limits>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "checkpoint/fault.h"

namespace hearth {
namespace {

bool IsInside(const std::string& real_path, const std::string& folder) {
  std::string root;
  try {
    root = ResolveLinks(folder);
  } catch (const Error&) {
    return false;  // a root that does not exist holds nothing
  }
  if (root.back() != '/') root += '/';
  return real_path.compare(0, root.size(), root) == 0;
}

void RequireInside(const FileIdentity& identity, const AllowedRoots& roots,
                   const std::string& name) {
  if (roots.folders.empty()) return;
  for (const std::string& folder : roots.folders) {
    if (IsInside(identity.real_path, folder)) return;
  }
  throw CheckpointCorrupt(name, 0,
                          name +
                              ": it lies outside the model folders, or is a link to a file that "
                              "does; move the file into one of them, or add its folder to them.");
}

int OpenWithoutWaiting(const FileIdentity& identity, const std::string& name) {
  // O_NOFOLLOW: the path is resolved, so a link here was put in since. O_NONBLOCK: so was a pipe.
  constexpr int kFlags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW;
  int descriptor;
  do {
    descriptor = ::open(identity.real_path.c_str(), kFlags);
  } while (descriptor < 0 && errno == EINTR);
  if (descriptor >= 0) return descriptor;
  const int error = errno;
  if (error == ENOENT) throw CheckpointNotFound(name + ": the file is gone; put it back.");
  const std::string reason = std::generic_category().message(error);
  const std::string advice = error == EACCES || error == EPERM
                                 ? "; give the user who runs ComfyUI permission to read it."
                                 : "; check the disk it lies on.";
  throw CheckpointCorrupt(name, 0, name + ": the file cannot be opened (" + reason + ")" + advice);
}

FileIdentity StatusOf(int descriptor, const FileIdentity& known, const std::string& name) {
  struct stat status{};
  if (::fstat(descriptor, &status) != 0) {
    throw CheckpointCorrupt(name, 0,
                            name + ": the file is no longer reachable (" +
                                std::generic_category().message(errno) + ").");
  }
  if (!S_ISREG(status.st_mode)) {
    throw CheckpointCorrupt(
        name, 0, name + ": this is " + DescribeFileType(status) + ", not a regular file.");
  }
  return MakeFileIdentity(known.real_path, status);
}

}  // namespace

CheckpointFile::CheckpointFile(const std::string& path, const AllowedRoots& roots)
    : name_(DisplayName(path)), identity_(IdentifyFile(path)), descriptor_(-1) {
  RequireInside(identity_, roots, name_);
  descriptor_ = OpenWithoutWaiting(identity_, name_);
  try {
    identity_ = StatusOf(descriptor_, identity_, name_);
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

CheckpointFile::CheckpointFile(CheckpointFile&& other) noexcept
    : name_(std::move(other.name_)),
      identity_(std::move(other.identity_)),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

CheckpointFile::~CheckpointFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

ReadOutcome CheckpointFile::ReadAt(std::uint64_t offset, char* into, std::size_t size) const {
  if (offset > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max())) {
    return {.error = EOVERFLOW};
  }
  const ssize_t bytes = ::pread(descriptor_, into, size, static_cast<off_t>(offset));
  if (bytes < 0) return {.error = errno};
  return {.bytes = static_cast<std::size_t>(bytes)};
}

bool CheckpointFile::IsFresh() const {
  using std::chrono::duration_cast;
  constexpr std::chrono::seconds kFresh(60);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto age = now - std::chrono::nanoseconds(identity_.mtime_ns);
  return age >= std::chrono::seconds(0) && age < kFresh;
}

void CheckpointFile::RequireUnchanged() const {
  const FileIdentity now = StatusOf(descriptor_, identity_, name_);
  if (now == identity_) return;
  Refuse(name_, {.offset = std::min(now.size, identity_.size),
                 .what = "the file changed while it was read (" + std::to_string(identity_.size) +
                         " bytes before, " + std::to_string(now.size) + " now)",
                 .expected = "a file that nobody writes to; try again when the copy is done"});
}

std::optional<std::uint64_t> CheckpointFile::FirstUnwrittenByte() const {
  const off_t hole = ::lseek(descriptor_, 0, SEEK_HOLE);
  if (hole < 0 || static_cast<std::uint64_t>(hole) >= identity_.size) return std::nullopt;
  return static_cast<std::uint64_t>(hole);
}

}  // namespace hearth
