// SIGBUS: ours becomes zeros and a mark, everybody else's goes where it went before.
#include "hosttier/fault_guard.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "fakes/tier_fixture.h"

namespace hearth {
namespace {

// A file of two pages mapped, then cut to nothing.
class CutMapping {
 public:
  explicit CutMapping(const std::string& path) : size_(2 * PageSize()) {
    descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    EXPECT_EQ(::ftruncate(descriptor_, static_cast<off_t>(size_)), 0);
    address_ = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, descriptor_, 0);
  }
  ~CutMapping() {
    ::munmap(address_, size_);
    ::close(descriptor_);
  }
  CutMapping(const CutMapping&) = delete;
  CutMapping& operator=(const CutMapping&) = delete;

  void Cut() const { EXPECT_EQ(::ftruncate(descriptor_, 0), 0); }
  const volatile char* bytes() const { return static_cast<const volatile char*>(address_); }
  void* address() const { return address_; }
  std::size_t size() const { return size_; }

 private:
  std::size_t size_;
  int descriptor_;
  void* address_;
};

TEST(FaultGuardTest, AnUntouchedRangeHasNotFaulted) {
  const TempFolder folder;
  const CutMapping mapping(folder / "a");
  const FaultGuard guard(mapping.address(), mapping.size());
  EXPECT_TRUE(guard.is_watching());
  EXPECT_EQ(mapping.bytes()[0], 0);
  EXPECT_FALSE(guard.has_faulted());
}

TEST(FaultGuardTest, ACutRangeReadsAsZerosAndIsMarked) {
  const TempFolder folder;
  const CutMapping mapping(folder / "a");
  const CutMapping other(folder / "b");
  const FaultGuard guard(mapping.address(), mapping.size());
  const FaultGuard bystander(other.address(), other.size());
  mapping.Cut();
  EXPECT_EQ(mapping.bytes()[PageSize() + 5], 0);
  EXPECT_TRUE(guard.has_faulted());
  EXPECT_FALSE(bystander.has_faulted());
  EXPECT_EQ(mapping.bytes()[0], 0);
}

TEST(FaultGuardTest, ManyThreadsMayFaultAtOnce) {
  const TempFolder folder;
  const CutMapping mapping(folder / "a");
  const FaultGuard guard(mapping.address(), mapping.size());
  mapping.Cut();
  std::vector<std::thread> threads;
  std::atomic<int> sum{0};
  for (int i = 0; i < 8; ++i) threads.emplace_back([&, i] { sum += mapping.bytes()[i]; });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(sum.load(), 0);
  EXPECT_TRUE(guard.has_faulted());
}

TEST(FaultGuardTest, AFullTableIsSaid) {
  const TempFolder folder;
  const CutMapping mapping(folder / "a");
  std::vector<std::unique_ptr<FaultGuard>> guards;
  for (int i = 0; i < 513; ++i) {
    guards.push_back(std::make_unique<FaultGuard>(mapping.address(), mapping.size()));
  }
  EXPECT_FALSE(guards.back()->is_watching());
  guards.erase(guards.begin());
  EXPECT_TRUE(FaultGuard(mapping.address(), mapping.size()).is_watching());
}

#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
// In a process of their own, with the handler that a test puts there before ours.
void FaultElsewhere(const char* path, void (*handler)(int)) {
  if (handler != nullptr) ::signal(SIGBUS, handler);
  const CutMapping watched(std::string(path) + ".watched");
  const FaultGuard guard(watched.address(), watched.size());
  const CutMapping other(path);
  other.Cut();
  static_cast<void>(other.bytes()[0]);
  std::_Exit(1);
}

TEST(FaultGuardDeathTest, AFaultElsewhereEndsTheProcessAsItDidBefore) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const TempFolder folder;
  EXPECT_EXIT(FaultElsewhere((folder / "a").c_str(), nullptr), testing::KilledBySignal(SIGBUS), "");
}

TEST(FaultGuardDeathTest, AFaultElsewhereReachesTheHandlerThatWasThere) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const TempFolder folder;
  EXPECT_EXIT(FaultElsewhere((folder / "a").c_str(), [](int) { std::_Exit(42); }),
              testing::ExitedWithCode(42), "");
}

// As Python's faulthandler does: it puts back what was before it, and sends the signal again.
TEST(FaultGuardDeathTest, AHandlerThatSendsTheSignalBackDoesNotTurnInCircles) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const TempFolder folder;
  EXPECT_EXIT(FaultElsewhere((folder / "a").c_str(), [](int signal) { ::raise(signal); }),
              testing::KilledBySignal(SIGBUS), "");
}
#endif

}  // namespace
}  // namespace hearth
