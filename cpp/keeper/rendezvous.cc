#include "keeper/rendezvous.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "base/error.h"

namespace hearth {
namespace {

constexpr int kBacklog = 16;

[[noreturn]] void ThrowRefused(const std::string& what) {
  const std::string reason = std::generic_category().message(errno);
  throw Error("the keeper cannot start: " + what + " (" + reason + ").");
}

void RequirePrivateFolder(const std::string& folder) {
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    ThrowRefused("the folder for its socket, " + folder + ", cannot be made");
  }
  struct stat status{};
  if (::lstat(folder.c_str(), &status) != 0) ThrowRefused(folder + " cannot be looked at");
  const bool is_private = S_ISDIR(status.st_mode) && status.st_uid == ::geteuid() &&
                          (status.st_mode & (S_IRWXG | S_IRWXO)) == 0;
  if (is_private) return;
  throw Error("the keeper cannot start: " + folder +
              " has to be a folder of yours that nobody else may enter: `chmod 700 " + folder +
              "`, or remove it if it is not yours.");
}

// The lock goes with the process, however it ends; the file stays, because a keeper that is just
// starting may have it open.
Descriptor TakeLock(const std::string& path) {
  Descriptor lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock) ThrowRefused(path + " cannot be opened");
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    char text[16] = {};
    const ssize_t size = ::pread(lock.get(), text, sizeof(text) - 1, 0);
    const std::string who = size > 0 ? " (process " + std::string(text) + ")" : "";
    throw Error("a keeper is running already" + who +
                "; `hearth keeper status` shows it, `hearth keeper stop` ends it.");
  }
  const std::string process = std::to_string(::getpid());
  const bool is_written = ::ftruncate(lock.get(), 0) == 0 &&
                          ::pwrite(lock.get(), process.data(), process.size(), 0) > 0;
  if (!is_written) ThrowRefused(path + " cannot be written");
  return lock;
}

Descriptor Listen(const std::string& path) {
  struct sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    throw Error("the keeper cannot start: " + path + " has more than " +
                std::to_string(sizeof(address.sun_path) - 1) +
                " characters, too many for a socket; set XDG_RUNTIME_DIR to a shorter one.");
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  Descriptor listening(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listening) ThrowRefused("there is no socket");
  // Before bind(), so that it is never open to others, whatever the umask is.
  if (::fchmod(listening.get(), 0600) != 0) ThrowRefused("its socket cannot be closed to others");
  const auto* const generic = reinterpret_cast<const struct sockaddr*>(&address);
  if (::bind(listening.get(), generic, sizeof(address)) != 0) ThrowRefused(path);
  if (::listen(listening.get(), kBacklog) != 0) ThrowRefused(path);
  return listening;
}

}  // namespace

Rendezvous::Rendezvous(const std::string& folder) : socket_path_(folder + "/keeper.sock") {
  RequirePrivateFolder(folder);
  lock_ = TakeLock(folder + "/keeper.lock");
  ::unlink(socket_path_.c_str());  // of one that was killed: whoever lives has the lock
  listening_ = Listen(socket_path_);
}

Rendezvous::~Rendezvous() { ::unlink(socket_path_.c_str()); }

std::optional<Peer> PeerOf(int descriptor) {
  struct ucred credentials{};
  socklen_t size = sizeof(credentials);
  if (::getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return std::nullopt;
  }
  return Peer{credentials.uid, credentials.pid};
}

}  // namespace hearth
