#include "hosttier/read_turns.h"

#include <algorithm>

namespace hearth {

ReadTurns::Ticket ReadTurns::Join(std::uint64_t device, bool is_urgent) {
  MutexLock lock(mutex_);
  const Ticket ticket = ++last_;
  line_.insert(is_urgent ? line_.begin() : line_.end(), {ticket, device});
  return ticket;
}

ReadTurns::Line::iterator ReadTurns::Find(Ticket ticket) {
  return std::find_if(line_.begin(), line_.end(),
                      [ticket](const Waiting& each) { return each.ticket == ticket; });
}

void ReadTurns::Hurry(Ticket ticket) {
  MutexLock lock(mutex_);
  const auto found = Find(ticket);
  if (found == line_.end()) return;
  std::rotate(line_.begin(), found, found + 1);
  changed_.NotifyAll();
}

void ReadTurns::Leave(Ticket ticket) {
  MutexLock lock(mutex_);
  const auto found = Find(ticket);
  if (found == line_.end()) return;
  line_.erase(found);
  changed_.NotifyAll();
}

bool ReadTurns::MayGo(Ticket ticket) {
  const auto found = Find(ticket);
  return found == line_.end() || std::none_of(line_.begin(), found, [found](const Waiting& before) {
           return before.device == found->device;
         });
}

void ReadTurns::Await(Ticket ticket) {
  MutexLock lock(mutex_);
  while (!MayGo(ticket)) changed_.Wait(mutex_);
}

}  // namespace hearth
