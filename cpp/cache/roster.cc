#include "cache/roster.h"

#include <utility>

namespace hearth {
namespace {

// A sum that wrapped around comes back right: both directions count modulo 2^64.
TierBytes Less(const TierBytes& a, const TierBytes& b) {
  return {a.mapped - b.mapped, a.anonymous - b.anonymous, a.pinned - b.pinned, a.device - b.device};
}

Roster::Totals Less(const Roster::Totals& totals, const Entry& entry) {
  return {Less(totals.bytes, entry.bytes()),
          totals.models - (CountsAsModel(entry.key.kind) ? 1 : 0)};
}

}  // namespace

const EntryPtr& Roster::Find(const Slot& slot) const {
  static const EntryPtr kNobody;
  const auto found = residents_.find(slot);
  return found == residents_.end() ? kNobody : found->second;
}

Roster::Totals Roster::ResidentTotals(const Entry* except) const {
  const bool counted = except != nullptr && except->list_ == Entry::List::kResident;
  return counted ? Less(resident_totals_, *except) : resident_totals_;
}

void Roster::AddResident(const EntryPtr& entry) {
  residents_.emplace(Slot(entry->key), entry);
  entry->list_ = Entry::List::kResident;
  Count(*entry);
}

void Roster::AddLingering(const EntryPtr& entry) {
  lingering_.push_back(entry);
  entry->list_ = Entry::List::kLingering;
  Count(*entry);
}

bool Roster::Remove(const EntryPtr& entry) {
  Discount(*entry);
  switch (std::exchange(entry->list_, Entry::List::kNone)) {
    case Entry::List::kResident:
      residents_.erase(Slot(entry->key));
      return true;
    case Entry::List::kLingering:
      lingering_.remove(entry);
      return true;
    case Entry::List::kNone:
      break;
  }
  return false;
}

Roster::SlotMap Roster::TakeResidents() {
  for (const auto& [slot, entry] : residents_) entry->list_ = Entry::List::kNone;
  resident_totals_ = {};
  return std::exchange(residents_, {});
}

void Roster::SetBytes(Entry& entry, const TierBytes& bytes) {
  Discount(entry);
  entry.bytes_ = bytes;
  Count(entry);
}

Roster::Totals* Roster::TotalsOf(const Entry& entry) {
  if (entry.list_ == Entry::List::kResident) return &resident_totals_;
  return entry.list_ == Entry::List::kLingering ? &lingering_totals_ : nullptr;
}

void Roster::Count(const Entry& entry) {
  Totals* const totals = TotalsOf(entry);
  if (totals == nullptr) return;
  totals->bytes = totals->bytes + entry.bytes();
  totals->models += CountsAsModel(entry.key.kind) ? 1 : 0;
}

void Roster::Discount(const Entry& entry) {
  if (Totals* const totals = TotalsOf(entry)) *totals = Less(*totals, entry);
}

}  // namespace hearth
