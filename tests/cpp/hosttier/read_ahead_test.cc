// Reading ahead: all of it, in the background, to be ended, and over disks that fail.
#include "hosttier/read_ahead.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <barrier>
#include <vector>

#include "base/error.h"
#include "fakes/tier_fixture.h"

namespace hearth {
namespace {

constexpr std::uint64_t kSize = 40 * kMib + 123;

const std::string& Bytes() {
  static const std::string bytes = PatternBytes(kSize);
  return bytes;
}

class ReadAheadTest : public TierFixture {
 protected:
  bool IsInMemory(const HostFile& file) {
    std::vector<unsigned char> pages(RoundUpToPage(file.file().size()) / PageSize());
    system->InMemory(file.file().address(), file.file().size(), pages.data());
    return std::all_of(pages.begin(), pages.end(), [](unsigned char page) { return page & 1; });
  }
  HostFileHandle Held() { return tier->Hold(folder.Write("a", Bytes())); }
};

TEST_F(ReadAheadTest, AllPagesAreInMemoryAfterwards) {
  const HostFileHandle file = Held();
  file->StartReadAhead({});
  file->WaitForReadAhead();
  const ReadProgress progress = file->read_progress();
  EXPECT_EQ(progress.done_bytes, kSize);
  EXPECT_EQ(progress.total_bytes, kSize);
  EXPECT_TRUE(progress.finished);
  EXPECT_EQ(file->state(), HostFileState::kRead);
  EXPECT_TRUE(IsInMemory(*file));
}

TEST_F(ReadAheadTest, APartMayBeAskedFor) {
  const HostFileHandle file = Held();
  file->StartReadAhead({.threads = 2, .max_bytes = 9 * kMib});
  file->WaitForReadAhead();
  EXPECT_EQ(file->read_progress().done_bytes, 9 * kMib);
}

TEST_F(ReadAheadTest, NoMoreIsReadThanThereIsRoomFor) {
  available = 16 * kMib;
  const HostFileHandle file = Held();
  file->StartReadAhead({});
  file->WaitForReadAhead();
  EXPECT_EQ(file->read_progress().done_bytes, 16 * kMib);
}

TEST_F(ReadAheadTest, AnOldKernelsRefusalToPopulateChangesNothing) {
  const HostFileHandle file = Held();
  system->errors[FaultySystemCalls::kAdvise] = EINVAL;
  file->StartReadAhead({});
  file->WaitForReadAhead();
  EXPECT_EQ(file->read_progress().done_bytes, kSize);
  EXPECT_TRUE(IsInMemory(*file));
}

TEST_F(ReadAheadTest, WithoutThreadsTheCallerReads) {
  const HostFileHandle file = Held();
  system->errors[FaultySystemCalls::kThread] = EAGAIN;
  file->StartReadAhead({});
  EXPECT_EQ(file->read_progress().done_bytes, kSize);
}

TEST_F(ReadAheadTest, CancellingEndsItBeforeItIsDone) {
  std::barrier begun(2);
  std::atomic<bool> is_first{true};
  const HostFileHandle file = Held();
  system->on_advise = [&] {
    if (!is_first.exchange(false)) return;
    begun.arrive_and_wait();  // a slice is being read
    begun.arrive_and_wait();  // and it was cancelled meanwhile
  };
  file->StartReadAhead({.threads = 1});
  begun.arrive_and_wait();
  EXPECT_EQ(file->state(), HostFileState::kReading);
  EXPECT_FALSE(file->read_progress().finished);
  std::thread canceller([&] { file->CancelReadAhead(); });
  while (!file->read_progress().cancelled) std::this_thread::yield();
  begun.arrive_and_wait();
  canceller.join();
  EXPECT_TRUE(file->read_progress().finished);
  EXPECT_LT(file->read_progress().done_bytes, kSize);
  system->on_advise = nullptr;
  file->StartReadAhead({});
  file->WaitForReadAhead();
  EXPECT_EQ(file->read_progress().done_bytes, kSize);
}

TEST_F(ReadAheadTest, WaitingEndsWhenItsTimeIsOver) {
  std::barrier begun(2);
  const HostFileHandle file = Held();
  std::atomic<bool> is_first{true};
  system->on_advise = [&] {
    if (is_first.exchange(false)) begun.arrive_and_wait();
  };
  file->StartReadAhead({.threads = 1});
  EXPECT_FALSE(file->WaitForReadAhead(std::chrono::milliseconds(1)));
  begun.arrive_and_wait();
  EXPECT_TRUE(file->WaitForReadAhead());
  EXPECT_EQ(file->read_progress().done_bytes, kSize);
}

TEST_F(ReadAheadTest, LettingGoWhileItReadsIsHarmless) {
  for (int i = 0; i < 5; ++i) {
    Held()->StartReadAhead({.threads = 4});
    EXPECT_EQ(tier->GiveWay(1), kSize);
  }
}

TEST_F(ReadAheadTest, ADiskThatFailsIsReportedAtTheByte) {
  for (const std::uint64_t at : {std::uint64_t{0}, kMib + 7, 39 * kMib, kSize - 1}) {
    auto faulty = std::make_shared<FaultySystemCalls>();
    system = faulty;
    Remake();
    const HostFileHandle file = Held();
    faulty->read_fails_at = at;
    faulty->errors[FaultySystemCalls::kAdvise] = EFAULT;  // as the kernel says it
    file->StartReadAhead({.threads = 3});
    try {
      file->WaitForReadAhead();
      ADD_FAILURE() << "byte " << at << " was not missed";
    } catch (const CheckpointCorrupt& error) {
      EXPECT_LE(error.byte_offset(), at);  // the first page that failed is in an earlier slice
      EXPECT_EQ(error.file_name(), "a");
    }
    EXPECT_EQ(file->state(), HostFileState::kPoisoned);
    faulty->errors[FaultySystemCalls::kAdvise] = 0;
    const HostFileHandle next = Held();
    next->StartReadAhead({});
    EXPECT_NO_THROW(next->WaitForReadAhead()) << "the next load works";
    tier->Shutdown(true);
  }
}

TEST_F(ReadAheadTest, AFileThatEndsEarlyIsReported) {
  const std::string path = folder.Write("a", Bytes());
  const HostFileHandle file = tier->Hold(path);
  std::filesystem::resize_file(path, 20 * kMib);
  EXPECT_THROW(file->StartReadAhead({}), CheckpointCorrupt);
}

// The file is cut while threads are in it; nothing but an error may come of that.
TEST_F(ReadAheadTest, AFileCutWhileItIsReadIsReported) {
  for (const int refusal : {0, EINVAL}) {  // populating, and touching page by page
    auto faulty = std::make_shared<FaultySystemCalls>();
    system = faulty;
    Remake();
    const std::string path = folder.Write("a", Bytes());
    const HostFileHandle file = tier->Hold(path);
    faulty->errors[FaultySystemCalls::kAdvise] = refusal;
    std::atomic<bool> is_first{true};
    faulty->on_advise = [&] {
      if (is_first.exchange(false)) std::filesystem::resize_file(path, kMib);
    };
    file->StartReadAhead({.threads = 2});
    EXPECT_THROW(file->WaitForReadAhead(), CheckpointCorrupt);
    tier->Shutdown(true);
  }
}

}  // namespace
}  // namespace hearth
