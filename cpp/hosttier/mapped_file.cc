#include "hosttier/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "checkpoint/file_identity.h"

namespace hearth {
namespace {

struct FileSystemName {
  std::int64_t magic;
  const char* name;
};

// From linux/magic.h, and those that have theirs in their own sources.
constexpr std::array kFileSystems = {
    FileSystemName{0x01021994, "tmpfs"},   FileSystemName{0x858458f6, "ramfs"},
    FileSystemName{0x794c7630, "overlay"}, FileSystemName{0xef53, "ext4"},
    FileSystemName{0x58465342, "xfs"},     FileSystemName{0x9123683e, "btrfs"},
    FileSystemName{0x2fc12fc1, "zfs"},     FileSystemName{0x6969, "nfs"},
    FileSystemName{0xff534d42, "cifs"},    FileSystemName{0xfe534d42, "smb2"},
    FileSystemName{0x65735546, "fuse"},    FileSystemName{0x01021997, "9p"},
    FileSystemName{0x4d44, "vfat"},        FileSystemName{0x2011bab0, "exfat"},
    FileSystemName{0x5346544e, "ntfs"},    FileSystemName{0x7366746e, "ntfs3"},
    FileSystemName{0x00c36400, "ceph"},    FileSystemName{0x0bd00bd0, "lustre"},
};

HostFileIdentity IdentityOf(const struct stat& status) {
  constexpr std::int64_t kNanosPerSecond = 1'000'000'000;
  return {
      static_cast<std::uint64_t>(status.st_dev), static_cast<std::uint64_t>(status.st_ino),
      static_cast<std::uint64_t>(status.st_size),
      static_cast<std::int64_t>(status.st_mtim.tv_sec) * kNanosPerSecond + status.st_mtim.tv_nsec};
}

std::string Reason(int error) { return std::generic_category().message(error); }

[[noreturn]] void ThrowCannotOpen(const std::string& name, int error) {
  if (error == ENOENT || error == ENOTDIR) {
    throw CheckpointNotFound(name + ": there is no such file; check the name, or put it back.");
  }
  const bool too_many = error == EMFILE || error == ENFILE;
  throw CheckpointCorrupt(name, 0,
                          name + ": the file cannot be opened (" + Reason(error) + "); " +
                              (too_many ? "raise the limit of open files (ulimit -n)."
                                        : "check its permissions and the disk it lies on."));
}

}  // namespace

MappedFile::MappedFile(std::shared_ptr<const SystemCalls> system, const std::string& path)
    : system_(std::move(system)), path_(path), name_(DisplayName(path)) {
  // O_NONBLOCK: a pipe must not hang us before its type is known.
  constexpr int kFlags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
  const int error = system_->Open(path, kFlags, descriptor_);
  if (error != 0) ThrowCannotOpen(name_, error);
  try {
    Identify();
  } catch (...) {
    system_->Close(descriptor_);
    throw;
  }
}

void MappedFile::Identify() {
  struct stat status{};
  const int error = system_->StatusOf(descriptor_, status);
  if (error != 0) {
    throw CheckpointCorrupt(name_, 0,
                            name_ + ": the file is no longer reachable (" + Reason(error) +
                                "); check the disk it lies on.");
  }
  if (!S_ISREG(status.st_mode)) {
    throw CheckpointCorrupt(
        name_, 0, name_ + ": this is " + DescribeFileType(status) + ", not a regular file.");
  }
  if (status.st_size == 0) {
    throw CheckpointCorrupt(name_, 0, name_ + ": the file is empty; fetch it again.");
  }
  identity_ = IdentityOf(status);
}

MappedFile::~MappedFile() {
  guard_.reset();
  if (address_ != nullptr) system_->Unmap(address_, RoundUpToPage(size()));
  system_->Close(descriptor_);
}

int MappedFile::Map() {
  void* address = nullptr;
  const int error = system_->MapFile(descriptor_, size(), address);
  if (error != 0) return error;
  guard_.emplace(address, RoundUpToPage(size()));
  if (!guard_->is_watching()) {  // unwatched, a truncated file would end the process
    guard_.reset();
    system_->Unmap(address, RoundUpToPage(size()));
    return ENOSPC;
  }
  address_ = static_cast<std::byte*>(address);
  // Advice: a kernel that does not take it costs nothing but that. A forked child keeps the
  // mapping: shared pages are never copied on write, and it may touch tensors that its parent has
  // made.
  static_cast<void>(system_->Advise(address, size(), MADV_HUGEPAGE));
  return 0;
}

const char* MappedFile::file_system() const {
  std::int64_t magic = 0;
  if (system_->FileSystemOf(descriptor_, magic) != 0) return "unknown";
  for (const FileSystemName& known : kFileSystems) {
    if (known.magic == (magic & 0xffffffff)) return known.name;
  }
  return "unknown";
}

bool MappedFile::HasChanged() const {
  struct stat status{};
  return system_->StatusOf(descriptor_, status) != 0 || IdentityOf(status) != identity_;
}

bool MappedFile::IsReplaced() const {
  struct stat status{};
  if (system_->StatusOfPath(path_, status) != 0) return true;
  const HostFileIdentity now = IdentityOf(status);
  return now.device != identity_.device || now.inode != identity_.inode;
}

}  // namespace hearth
