// Several files are read one after the other, and first what somebody waits for.
#include "hosttier/read_turns.h"

#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <cerrno>
#include <filesystem>
#include <iterator>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "base/error.h"
#include "fakes/tier_fixture.h"

namespace hearth {
namespace {

constexpr ReadAheadOptions kOneThread{.threads = 1};
constexpr ReadAheadOptions kUrgent{.threads = 1, .is_urgent = true};

// Files of two slices each. The first that is read stays in its first slice until let go.
class ReadTurnsTest : public TierFixture {
 protected:
  void StartAndHaltIn(const HostFileHandle& file) {
    system->on_advise_at = [this](const void* address) { Note(address); };
    is_halting_ = true;
    file->StartReadAhead(kOneThread);
    step_.arrive_and_wait();
  }
  void GoOn() { step_.arrive_and_wait(); }
  void GoOnUntilAllAreRead() {
    GoOn();
    for (const HostFileHandle* file : {&a, &b, &c}) (*file)->WaitForReadAhead();
  }
  std::string order() {
    const std::lock_guard lock(mutex_);
    return order_;
  }

 private:
  HostFileHandle Held(const std::string& name) {
    HostFileHandle file = tier->Hold(WriteModel(name, 17 * kMib));
    names_[file->file().address()] = name;
    return file;
  }

  void Note(const void* address) {
    {
      const std::lock_guard lock(mutex_);
      order_ += std::prev(names_.upper_bound(address))->second;
    }
    if (!is_halting_.exchange(false)) return;
    step_.arrive_and_wait();  // it is in it
    step_.arrive_and_wait();  // and may go on
  }

  std::mutex mutex_;
  std::map<const void*, std::string> names_;
  std::string order_;
  std::atomic<bool> is_halting_{false};
  std::barrier<> step_{2};

 protected:
  HostFileHandle a = Held("a"), b = Held("b"), c = Held("c");
};

TEST_F(ReadTurnsTest, FilesAreReadInTheOrderAskedFor) {
  StartAndHaltIn(a);
  b->StartReadAhead(kOneThread);
  c->StartReadAhead(kOneThread);
  GoOnUntilAllAreRead();
  EXPECT_EQ(order(), "aabbcc");
}

TEST_F(ReadTurnsTest, AnUrgentFileIsReadBeforeWhatOthersAreStillBehindWith) {
  StartAndHaltIn(a);
  b->StartReadAhead(kOneThread);
  c->StartReadAhead(kUrgent);
  GoOnUntilAllAreRead();
  EXPECT_EQ(order(), "accabb");
}

TEST_F(ReadTurnsTest, OneThatIsInLineIsHurriedWhenItBecomesUrgent) {
  StartAndHaltIn(a);
  b->StartReadAhead(kOneThread);
  c->StartReadAhead(kOneThread);
  c->StartReadAhead(kUrgent);
  GoOnUntilAllAreRead();
  EXPECT_EQ(order(), "accabb");
}

TEST_F(ReadTurnsTest, OneThatIsInLineCanBeCancelled) {
  StartAndHaltIn(a);
  b->StartReadAhead(kOneThread);
  b->CancelReadAhead();
  EXPECT_EQ(b->read_progress().done_bytes, 0U);
  EXPECT_TRUE(b->read_progress().finished);
  GoOn();
  a->WaitForReadAhead();
  EXPECT_EQ(order(), "aa");
}

TEST_F(ReadTurnsTest, AFileThatFailsLetsTheNextHaveItsTurn) {
  StartAndHaltIn(a);
  b->StartReadAhead(kOneThread);
  std::filesystem::resize_file(a->file().path(), kMib);
  GoOn();
  EXPECT_THROW(a->WaitForReadAhead(), CheckpointCorrupt);
  EXPECT_TRUE(b->WaitForReadAhead());
  EXPECT_EQ(b->read_progress().done_bytes, 17 * kMib);
}

TEST_F(ReadTurnsTest, WithoutThreadsTheCallerDoesNotWaitForOthers) {
  StartAndHaltIn(a);
  system->errors[FaultySystemCalls::kThread] = EAGAIN;
  b->StartReadAhead(kOneThread);
  EXPECT_EQ(b->read_progress().done_bytes, 17 * kMib);
  GoOn();
  a->WaitForReadAhead();
  EXPECT_EQ(order(), "abba");
}

TEST(ReadTurns, FilesOfTwoDevicesDoNotWaitForEachOther) {
  ReadTurns turns;
  const ReadTurns::Ticket first = turns.Join(1, false);
  const ReadTurns::Ticket other = turns.Join(2, false);
  turns.Await(first);
  turns.Await(other);
  turns.Leave(first);
  turns.Hurry(first);  // it is not back by that
  const ReadTurns::Ticket last = turns.Join(1, false);
  turns.Await(last);
}

}  // namespace
}  // namespace hearth
