#include "checkpoint/file_identity.h"

#include <sys/stat.h>

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "checkpoint/printable.h"

namespace hearth {
namespace {

// FNV-1a: not a secret, only a short stand-in that is the same in every process.
std::uint64_t HashOf(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

[[noreturn]] void ThrowUnreachable(const std::string& name, int error) {
  if (error == ENOENT || error == ENOTDIR) {
    throw CheckpointNotFound(name +
                             ": there is no such file (or it is a link to a file that is gone); "
                             "check the name, or put the file back.");
  }
  throw CheckpointCorrupt(name, 0,
                          name + ": the file cannot be reached (" +
                              std::generic_category().message(error) +
                              "); check its folder's permissions and links.");
}

}  // namespace

std::string FileIdentity::ToString() const {
  char text[128];
  std::snprintf(text, sizeof(text), "%016" PRIx64 "-%" PRIu64 "-%" PRId64 "-%" PRIu64,
                HashOf(real_path), size, mtime_ns, inode);
  return text;
}

std::string ResolveLinks(const std::string& path) {
  if (path.find('\0') != std::string::npos) ThrowUnreachable(DisplayName(path), ENOENT);
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr),
                                                         &std::free);
  if (real == nullptr) ThrowUnreachable(DisplayName(path), errno);
  return real.get();
}

FileIdentity IdentifyFile(const std::string& path) {
  const std::string name = DisplayName(path);
  std::string real_path = ResolveLinks(path);
  struct stat status{};
  if (::stat(real_path.c_str(), &status) != 0) ThrowUnreachable(name, errno);
  if (!S_ISREG(status.st_mode)) {
    throw CheckpointCorrupt(
        name, 0, name + ": this is " + DescribeFileType(status) + ", not a regular file.");
  }
  return MakeFileIdentity(std::move(real_path), status);
}

FileIdentity MakeFileIdentity(std::string real_path, const struct stat& status) {
  constexpr std::int64_t kNanosPerSecond = 1'000'000'000;
  return {
      std::move(real_path), static_cast<std::uint64_t>(status.st_size),
      static_cast<std::int64_t>(status.st_mtim.tv_sec) * kNanosPerSecond + status.st_mtim.tv_nsec,
      static_cast<std::uint64_t>(status.st_ino)};
}

std::string DescribeFileType(const struct stat& status) {
  switch (status.st_mode & S_IFMT) {
    case S_IFREG:
      return "a regular file";
    case S_IFDIR:
      return "a directory";
    case S_IFIFO:
      return "a named pipe";
    case S_IFSOCK:
      return "a socket";
    case S_IFCHR:
    case S_IFBLK:
      return "a device";
    default:
      return "of an unknown kind";
  }
}

std::string DisplayName(const std::string& path) {
  std::string_view rest = path;
  while (rest.size() > 1 && rest.back() == '/') rest.remove_suffix(1);
  const std::size_t slash = rest.find_last_of('/');
  if (slash != std::string_view::npos && rest.size() > 1) rest.remove_prefix(slash + 1);
  return rest.empty() ? "(no name)" : Printable(rest);
}

}  // namespace hearth
