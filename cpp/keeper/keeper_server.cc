#include "keeper/keeper_server.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "keeper/protocol.h"

namespace hearth {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kFixed = 2;      // watched besides the clients: wake, listen
constexpr std::size_t kPerClient = 2;  // its connection, its process
constexpr std::size_t kMostUnread = std::size_t{4}
                                    << 20;  // of answers that a client does not fetch

// Readable once the process has ended; empty where the kernel has no such thing.
Descriptor WatchProcess(int process) {
#ifdef SYS_pidfd_open
  if (process > 0) return Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, process, 0)));
#endif
  static_cast<void>(process);
  return Descriptor();
}

void SendLast(int descriptor, const std::string& line) {
  static_cast<void>(::send(descriptor, line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
}

}  // namespace

struct KeeperServer::Client {
  ClientId id = 0;
  Descriptor connection;
  Descriptor process;
  std::string received;
  std::string to_send;
  bool is_gone = false;
};

KeeperServer::KeeperServer(Parts parts)
    : clock_(std::move(parts.clock)),
      tidy_seconds_(parts.tidy_seconds),
      files_(std::move(parts.files)),
      rendezvous_(parts.folder),
      tidied_(clock_->Now()) {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) throw Error("the keeper gets no pipe.");
  wake_reader_ = Descriptor(ends[0]);
  wake_writer_ = Descriptor(ends[1]);
}

KeeperServer::~KeeperServer() {
  files_.reset();  // who is told of the end finds nothing locked
}

bool KeeperServer::Step(milliseconds longest) {
  std::vector<pollfd> watched;
  if (Wait(watched, has_work_ ? milliseconds(0) : longest) > 0) {
    Serve(watched);
    has_work_ = true;
  }
  RemoveGone();
  if (TidyIfDue()) has_work_ = true;
  if (has_work_ && !stopping_) has_work_ = files_->Work();
  return !stopping_;
}

int KeeperServer::Wait(std::vector<pollfd>& watched, milliseconds longest) const {
  watched.push_back({wake_reader_.get(), POLLIN, 0});
  watched.push_back({rendezvous_.descriptor(), POLLIN, 0});
  for (const auto& client : clients_) {
    const short wanted = client->to_send.empty() ? POLLIN : POLLIN | POLLOUT;
    watched.push_back({client->connection.get(), wanted, 0});
    watched.push_back({client->process.get(), POLLIN, 0});  // -1 is passed over
  }
  const milliseconds to_tidy =
      std::chrono::ceil<milliseconds>(tidied_ + tidy_seconds_ - clock_->Now());
  const auto wait = std::clamp(to_tidy, milliseconds(0), longest);
  return ::poll(watched.data(), watched.size(), static_cast<int>(wait.count()));
}

void KeeperServer::Serve(const std::vector<pollfd>& watched) {
  if (watched[0].revents != 0) {
    std::array<char, 64> bytes{};
    while (::read(wake_reader_.get(), bytes.data(), bytes.size()) > 0) continue;
  }
  for (std::size_t i = 0; i < clients_.size(); ++i) {  // before those who come now
    Client& client = *clients_[i];
    const pollfd& connection = watched[kFixed + kPerClient * i];
    const pollfd& process = watched[kFixed + kPerClient * i + 1];
    if ((connection.revents & ~POLLOUT) != 0) Receive(client);
    if (!client.to_send.empty()) Send(client);
    if (process.revents != 0) client.is_gone = true;
  }
  if (watched[1].revents != 0) Accept();
}

void KeeperServer::Accept() {
  Descriptor connection(
      ::accept4(rendezvous_.descriptor(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!connection) return;
  const std::optional<Peer> peer = PeerOf(connection.get());
  if (!peer || peer->user != ::geteuid()) {
    return SendLast(connection.get(), ErrorLine("this keeper serves the user who started it."));
  }
  if (clients_.size() >= kMostClients) {
    return SendLast(connection.get(), ErrorLine("too many are connected to this keeper."));
  }
  auto client = std::make_unique<Client>();
  client->id = next_client_++;
  client->connection = std::move(connection);
  client->process = WatchProcess(peer->process);
  clients_.push_back(std::move(client));
}

void KeeperServer::Receive(Client& client) {
  std::array<char, 1 << 16> bytes;
  const ssize_t size = ::recv(client.connection.get(), bytes.data(), bytes.size(), 0);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size <= 0) {
    client.is_gone = true;
    return;
  }
  client.received.append(bytes.data(), static_cast<std::size_t>(size));
  AnswerLines(client);
  const bool is_flood = client.received.size() > kMostLineBytes;
  if (!is_flood && client.to_send.size() <= kMostUnread) return;
  if (is_flood) SendLast(client.connection.get(), ErrorLine("the line is too long."));
  client.is_gone = true;
}

void KeeperServer::AnswerLines(Client& client) {
  std::size_t begin = 0;
  for (std::size_t end = 0; (end = client.received.find('\n', begin)) != std::string::npos;) {
    const std::string_view line(client.received.data() + begin, end - begin);
    Reply reply = AnswerLine(line, client.id, *files_);
    client.to_send += reply.line;
    stopping_ = stopping_ || reply.stops;
    begin = end + 1;
  }
  client.received.erase(0, begin);
}

void KeeperServer::Send(Client& client) {
  const ssize_t size =
      ::send(client.connection.get(), client.to_send.data(), client.to_send.size(), MSG_NOSIGNAL);
  if (size >= 0) {
    client.to_send.erase(0, static_cast<std::size_t>(size));
  } else if (errno != EAGAIN && errno != EINTR) {
    client.is_gone = true;
  }
}

void KeeperServer::RemoveGone() {
  std::erase_if(clients_, [this](const std::unique_ptr<Client>& client) {
    if (client->is_gone) files_->ClientGone(client->id);
    return client->is_gone;
  });
}

bool KeeperServer::TidyIfDue() {
  if (clock_->Now() - tidied_ < tidy_seconds_) return false;
  tidied_ = clock_->Now();
  files_->Tidy();
  return true;
}

}  // namespace hearth
