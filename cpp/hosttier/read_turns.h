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
// it would otherwise be as far as all the others. Thread-safe.
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

  using Line = std::vector<Waiting>;  // a handful

  Line::iterator Find(Ticket ticket) HEARTH_REQUIRES(mutex_);
  bool MayGo(Ticket ticket) HEARTH_REQUIRES(mutex_);

  Mutex mutex_;
  CondVar changed_;
  Ticket last_ HEARTH_GUARDED_BY(mutex_) = 0;
  Line line_ HEARTH_GUARDED_BY(mutex_);
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
