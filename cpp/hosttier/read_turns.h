#ifndef HEARTH_HOSTTIER_READ_TURNS_H_
#define HEARTH_HOSTTIER_READ_TURNS_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/mutex.h"

namespace hearth {

// Of several files that are read ahead from one device, which is read now: one after the other, in
// the order asked for, and before all of them what somebody waits for. The first is then whole when
// it would otherwise be half there with all the others half there, and the disk is never asked for
// so much at once that a small read by somebody else waits behind it. Thread-safe.
class ReadTurns {
 public:
  using Ticket = std::uint64_t;

  // Gets in line behind those of `device`, or before them.
  Ticket Join(std::uint64_t device, bool is_urgent) HEARTH_EXCLUDES(mutex_);
  // To the head of the line; nothing for one that has left it.
  void Hurry(Ticket ticket) HEARTH_EXCLUDES(mutex_);
  // It has no more to read. Idempotent.
  void Leave(Ticket ticket) HEARTH_EXCLUDES(mutex_);
  // Until it is the first of its device, or has left.
  void Await(Ticket ticket) HEARTH_EXCLUDES(mutex_);

 private:
  struct Waiting {
    Ticket ticket;
    std::uint64_t device;
  };

  bool MayGo(Ticket ticket) const HEARTH_REQUIRES(mutex_);

  Mutex mutex_;
  CondVar changed_;
  Ticket last_ HEARTH_GUARDED_BY(mutex_) = 0;
  std::vector<Waiting> line_ HEARTH_GUARDED_BY(mutex_);  // a handful
};

// A place in line that ends with its owner.
class ReadTurn {
 public:
  ReadTurn(std::shared_ptr<ReadTurns> turns, std::uint64_t device, bool is_urgent)
      : turns_(std::move(turns)), ticket_(turns_->Join(device, is_urgent)) {}
  ~ReadTurn() { Leave(); }
  ReadTurn(const ReadTurn&) = delete;
  ReadTurn& operator=(const ReadTurn&) = delete;

  void Await() { turns_->Await(ticket_); }
  void Hurry() { turns_->Hurry(ticket_); }
  void Leave() { turns_->Leave(ticket_); }

 private:
  const std::shared_ptr<ReadTurns> turns_;
  const ReadTurns::Ticket ticket_;
};

}  // namespace hearth

#endif  // HEARTH_HOSTTIER_READ_TURNS_H_
