#ifndef HEARTH_KEEPER_RENDEZVOUS_H_
#define HEARTH_KEEPER_RENDEZVOUS_H_

#include <optional>
#include <string>

#include "keeper/descriptor.h"

namespace hearth {

// The place where a keeper is met: keeper.sock in a folder that is this user's alone. While it
// lives no other keeper has the same folder; what one that was killed has left is taken over.
class Rendezvous {
 public:
  // Makes the folder (0700) where it is missing. Throws Error: the folder is open to others, a
  // keeper is there already, or the system refuses.
  explicit Rendezvous(const std::string& folder);
  ~Rendezvous();
  Rendezvous(const Rendezvous&) = delete;
  Rendezvous& operator=(const Rendezvous&) = delete;

  int descriptor() const { return listening_.get(); }

 private:
  std::string socket_path_;
  Descriptor lock_;
  Descriptor listening_;
};

// Who is at the other end of a connected socket.
struct Peer {
  unsigned user = 0;
  int process = 0;  // 0: not known, it is in another container
};
std::optional<Peer> PeerOf(int descriptor);

}  // namespace hearth

#endif  // HEARTH_KEEPER_RENDEZVOUS_H_
