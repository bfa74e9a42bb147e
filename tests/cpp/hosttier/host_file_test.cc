// Registering and locking one file, slice by slice and within bounds.
#include "hosttier/host_file.h"

#include <gtest/gtest.h>

#include <new>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "fakes/failing_new.h"
#include "fakes/tier_fixture.h"

namespace hearth {
namespace {

class HostFileTest : public TierFixture {
 protected:
  HostFileHandle Held(std::uint64_t size = 4 * kMib + 100) {
    return tier->Hold(WriteModel("a", size));
  }

  static std::size_t Count(const std::vector<LogLine>& lines, const std::string& word) {
    std::size_t count = 0;
    for (const LogLine& line : lines) count += line.text.find(word) != std::string::npos ? 1 : 0;
    return count;
  }
};

TEST_F(HostFileTest, AFileIsRegisteredInSlicesThatCoverIt) {
  const HostFileHandle file = Held();
  EXPECT_EQ(file->Register({}), file->file().size());
  const auto ranges = registrar->ranges();
  ASSERT_EQ(ranges.size(), 5U);
  const std::byte* next = file->file().address();
  for (const FakeRegistrar::Range& range : ranges) {
    EXPECT_EQ(range.address, next);
    next += range.size;
  }
  EXPECT_EQ(next, file->file().address() + file->file().size());
  EXPECT_EQ(file->Register({}), 0U);
}

TEST_F(HostFileTest, RegisteringIsSpreadOverCallsAndWhatIsDoneIsUsable) {
  const HostFileHandle file = Held();
  EXPECT_EQ(file->Register({.max_bytes = kMib}), kMib);
  EXPECT_TRUE(file->IsCopyable(0, kMib));
  EXPECT_FALSE(file->IsCopyable(0, kMib + 1));
  EXPECT_EQ(file->Register({.max_bytes = 2 * kMib}), 2 * kMib);
  EXPECT_EQ(file->registered_bytes(), 3 * kMib);
}

TEST_F(HostFileTest, TheTimeCapEndsAfterASlice) {
  const HostFileHandle file = Held();
  EXPECT_EQ(file->Register({.max_seconds = 0.0}), kMib);
}

TEST_F(HostFileTest, SlicesShareNoPage) {
  const HostFileHandle file = Held();
  EXPECT_EQ(file->Register({.max_bytes = 1}), PageSize());
  file->Register({});
  for (const FakeRegistrar::Range& range : registrar->ranges()) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(range.address) % PageSize(), 0U);
  }
}

TEST_F(HostFileTest, ACopyStaysInASliceWhereTheDriverWantsThat) {
  registrar->copies_span = false;
  const HostFileHandle file = Held();
  file->Register({});
  EXPECT_TRUE(file->IsCopyable(kMib, kMib));
  EXPECT_FALSE(file->IsCopyable(kMib - 1, 2));
  EXPECT_EQ(file->CopyableBytes(kMib + 5), kMib - 5);
}

TEST_F(HostFileTest, UnregisteringGoesFromTheLastSliceToTheFirst) {
  const HostFileHandle file = Held();
  file->Register({});
  EXPECT_EQ(file->Unregister(), file->file().size());
  const auto order = registrar->unregistered();
  ASSERT_EQ(order.size(), 5U);
  EXPECT_TRUE(std::is_sorted(order.rbegin(), order.rend()));
  EXPECT_TRUE(registrar->ranges().empty());
  EXPECT_EQ(tier->Stats().registered_bytes, 0U);
  EXPECT_EQ(file->Register({}), file->file().size());
}

TEST_F(HostFileTest, WhatTheDriverDoesNotLetGoOfStaysRegisteredUntilItDoes) {
  const HostFileHandle file = Held();
  file->Register({});
  registrar->keeps = file->file().address() + kMib;
  EXPECT_EQ(file->Unregister(), file->file().size() - 2 * kMib);
  EXPECT_EQ(file->registered_bytes(), 2 * kMib);
  EXPECT_EQ(tier->Stats().registered_bytes, 2 * kMib);
  EXPECT_NE(file->refusal(), "");
  registrar->keeps = nullptr;
  EXPECT_EQ(file->Unregister(), 2 * kMib);
  EXPECT_EQ(tier->Stats().registered_bytes, 0U);
}

TEST_F(HostFileTest, WhicheverAllocationFailsWhatTheDriverKeepsStaysRegistered) {
  const HostFileHandle file = Held();
  file->Register({});
  registrar->keeps = file->file().address() + kMib;
  for (std::uint64_t n = 0;; ++n) {
    ASSERT_LT(n, 1000U);
    bool has_failed = false;
    {
      const FailingNew failing(n);
      try {
        file->Unregister();
      } catch (const std::bad_alloc&) {
      }
      has_failed = failing.has_failed();
    }
    ASSERT_EQ(file->registered_bytes(), 2 * kMib) << "after allocation " << n << " failed";
    ASSERT_EQ(tier->Stats().registered_bytes, 2 * kMib);
    if (!has_failed) break;
  }
  registrar->keeps = nullptr;
  EXPECT_EQ(file->Unregister(), 2 * kMib);
}

TEST_F(HostFileTest, WhatIsRefusedLeavesAPrefixAndOneLine) {
  registrar->refuse_from = 2;
  const HostFileHandle file = Held();
  DrainLog();
  EXPECT_EQ(file->Register({}), 2 * kMib);
  EXPECT_EQ(file->Register({}), 0U);
  EXPECT_EQ(file->refusal(), "refused by the test");
  EXPECT_EQ(Count(DrainLog(), "host_register_refused"), 1U);
  EXPECT_TRUE(HoldsBytes(*file, PatternBytes(4 * kMib + 100)));
}

TEST_F(HostFileTest, RamThatIsToBeKeptFreeIsNotRegistered) {
  available = 5 * kMib;
  tier->SetLimits({.max_bytes = {}, .keep_free_bytes = 3 * kMib});
  const HostFileHandle file = Held();
  EXPECT_EQ(file->Register({}), 2 * kMib);
  EXPECT_NE(file->refusal().find("free"), std::string::npos);
  available = 100 * kMib;
  file->Register({});
  EXPECT_EQ(file->registered_bytes(), file->file().size());
}

TEST_F(HostFileTest, WithoutADeviceNothingIsRegistered) {
  registrar = nullptr;
  Remake();
  const HostFileHandle file = Held();
  EXPECT_EQ(file->Register({}), 0U);
  EXPECT_FALSE(file->refusal().empty());
  EXPECT_FALSE(file->IsCopyable(0, 1));
}

TEST_F(HostFileTest, LockingStopsAtItsLimitsWithoutHarm) {
  const HostFileHandle file = Held();
  system->errors[FaultySystemCalls::kLock] = ENOMEM;
  EXPECT_EQ(file->Lock(kMib), 0U);
  EXPECT_NE(file->refusal().find("ulimit -l"), std::string::npos);
  system->errors[FaultySystemCalls::kLock] = 0;
  EXPECT_EQ(file->Lock(kMib), kMib);
  EXPECT_EQ(file->locked_bytes(), kMib);
  EXPECT_EQ(file->Unlock(), kMib);
  available = 0;
  EXPECT_EQ(file->Lock(kMib), 0U);
}

TEST_F(HostFileTest, AFileThatCannotBeMappedIsHeldAndNotRegistered) {
  system->errors[FaultySystemCalls::kMap] = ENOMEM;
  const HostFileHandle file = Held();
  EXPECT_EQ(file->state(), HostFileState::kUnmapped);
  file->StartReadAhead({});
  EXPECT_NO_THROW(file->WaitForReadAhead());
  EXPECT_EQ(file->Register({}), 0U);
  EXPECT_EQ(file->Lock(kMib), 0U);
}

TEST_F(HostFileTest, ASliceThatCannotBeReadIsRefusedBeforeTheDriverSeesIt) {
  const HostFileHandle file = Held();
  system->errors[FaultySystemCalls::kAdvise] = EFAULT;
  EXPECT_THROW(file->Register({}), CheckpointCorrupt);
  EXPECT_TRUE(registrar->ranges().empty());
  EXPECT_EQ(file->state(), HostFileState::kPoisoned);
}

// Each slice is registered once, whoever does it.
TEST_F(HostFileTest, ThreadsThatRegisterTheSameFileShareTheWork) {
  const HostFileHandle file = Held(16 * kMib);
  std::atomic<std::uint64_t> registered{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      while (const std::uint64_t bytes = file->Register({.max_bytes = kMib})) registered += bytes;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(registered.load(), 16 * kMib);
  EXPECT_EQ(registrar->ranges().size(), 16U);
}

TEST_F(HostFileTest, TheStateIsReadWhileASliceIsRegistered) {
  const HostFileHandle file = Held();
  bool seen = false;
  registrar->on_register = [&] {
    seen = file->state() == HostFileState::kMapped && tier->Stats().files.size() == 1;
  };
  file->Register({.max_bytes = kMib});
  EXPECT_TRUE(seen);
}

}  // namespace
}  // namespace hearth
