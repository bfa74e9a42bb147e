#ifndef HEARTH_KEEPER_KEEPER_SERVER_H_
#define HEARTH_KEEPER_KEEPER_SERVER_H_

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "keeper/kept_files.h"
#include "keeper/rendezvous.h"

struct pollfd;

namespace hearth {

// Serves ComfyUIs and the command line over the socket, and has the files locked between two
// requests. A client is gone when its connection ends or its process does, by a crash too; a child
// that has inherited the connection does not keep it alive. One thread only, but for the wake
// descriptor.
class KeeperServer {
 public:
  struct Parts {
    std::string folder;  // see Rendezvous
    std::shared_ptr<const Clock> clock;
    std::unique_ptr<KeptFiles> files;
    Seconds tidy_seconds{5};
  };
  static constexpr std::size_t kMostClients = 64;

  // Throws what Rendezvous throws.
  explicit KeeperServer(Parts parts);
  ~KeeperServer();
  KeeperServer(const KeeperServer&) = delete;
  KeeperServer& operator=(const KeeperServer&) = delete;

  // Answers what has come and locks a slice; waits at most `longest` for something to do. False
  // once a client has asked to stop. A signal ends the wait.
  bool Step(std::chrono::milliseconds longest);
  // A byte written here ends the wait of Step(), now or the next; does not block.
  int wake_descriptor() const { return wake_writer_.get(); }
  KeptStats Stats() const { return files_->Stats(); }

 private:
  struct Client;

  int Wait(std::vector<pollfd>& watched, std::chrono::milliseconds longest) const;
  void Serve(const std::vector<pollfd>& watched);
  void Accept();
  void Receive(Client& client);
  void AnswerLines(Client& client);
  static void Send(Client& client);
  void RemoveGone();
  bool TidyIfDue();

  std::shared_ptr<const Clock> clock_;
  const Seconds tidy_seconds_;
  std::unique_ptr<KeptFiles> files_;
  Descriptor wake_reader_;
  Descriptor wake_writer_;
  // After the rest: those who wait for the end of this keeper see it when its socket is gone.
  std::vector<std::unique_ptr<Client>> clients_;
  Rendezvous rendezvous_;
  ClientId next_client_ = 1;
  TimePoint tidied_{};
  bool has_work_ = false;
  bool stopping_ = false;
};

}  // namespace hearth

#endif  // HEARTH_KEEPER_KEEPER_SERVER_H_
