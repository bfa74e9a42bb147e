#include "cache/eviction_policy.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/error.h"

namespace hearth {
namespace {

using Victims = std::vector<std::size_t>;

TimePoint At(double seconds) {
  return TimePoint(std::chrono::duration_cast<TimePoint::duration>(Seconds(seconds)));
}

EntryView Model(double last_used, std::uint64_t host_bytes = 10, double uses = 1) {
  return {{0, host_bytes, 0, 0}, At(last_used), uses, true, true};
}

EntryView Encoder(double last_used, std::uint64_t host_bytes) {
  EntryView view = Model(last_used, host_bytes);
  view.counts_as_model = false;
  return view;
}

EntryView Busy(EntryView view) {
  view.evictable = false;
  return view;
}

EntryView KeptAlive(EntryView view, double seconds) {
  view.idle_seconds = seconds;
  return view;
}

struct Case {
  const char* name;
  const char* policy;
  std::vector<EntryView> entries;
  Need need;
  bool partial;
  Victims expected;
};

class PolicyTable : public ::testing::TestWithParam<Case> {};

TEST_P(PolicyTable, ChoosesExactlyThese) {
  const Case& c = GetParam();
  const auto policy = MakeEvictionPolicy(c.policy, 50.0);
  EXPECT_EQ(policy->ChooseVictims(c.entries, c.need, At(100), c.partial), c.expected);
}

INSTANTIATE_TEST_SUITE_P(
    Tables, PolicyTable,
    ::testing::Values(
        Case{"LruTakesTheOldest", "lru", {Model(3), Model(1), Model(2)}, {1}, false, {1}},
        Case{"NoNeedTakesNobody", "lru", {Model(3), Model(1)}, {}, true, {}},
        Case{"LruTakesAsManyAsNeeded", "lru", {Model(3), Model(1), Model(2)}, {2}, false, {1, 2}},
        Case{"BusyOnesStay", "lru", {Busy(Model(1)), Model(2)}, {1}, false, {1}},
        Case{"NobodyInVain", "lru", {Busy(Model(1)), Model(2)}, {2}, false, {}},
        Case{"TheBestThatCanBeDone", "lru", {Busy(Model(1)), Model(2)}, {2}, true, {1}},
        Case{"BytesAreSummedUp",
             "lru",
             {Model(1, 5), Model(2, 5), Model(3, 5)},
             {0, 9},
             false,
             {0, 1}},
        Case{"AnEncoderDoesNotHelpTheCount", "lru", {Encoder(1, 5), Model(2)}, {1}, false, {1}},
        Case{"AnEncoderHelpsTheBytes", "lru", {Encoder(1, 5), Model(2)}, {0, 5}, false, {0}},
        Case{"WhoHasNoVramDoesNotHelpVram", "lru", {Model(1), Model(2)}, {0, 0, 1}, true, {}},
        Case{"LfuTakesTheRarest", "lfu", {Model(99, 10, 9), Model(99, 10, 2)}, {1}, false, {1}},
        Case{
            "LfuTakesTheOlderOfEquals", "lfu", {Model(9, 10, 2), Model(8, 10, 2)}, {1}, false, {1}},
        Case{"TheFirstOfEqualsGoes", "lru", {Model(1), Model(1)}, {1}, false, {0}},
        Case{"WhomALargerOneMakesNeedlessStays",
             "lru",
             {Model(1, 4), Model(2, 4), Model(3, 20)},
             {0, 20},
             false,
             {2}},
        Case{"ThenTheMostValuableIsSpared",
             "lru",
             {Model(1, 4), Model(2, 4), Model(3, 16)},
             {0, 20},
             false,
             {0, 2}},
        Case{"CountAndBytesAreMetTogether",
             "lru",
             {Encoder(1, 20), Model(2, 4), Model(3, 4)},
             {1, 10},
             false,
             {0, 1}},
        Case{"WhatIsNotNeededIsNoReasonToGo",
             "lru",
             {Encoder(1, 20), Model(2, 4)},
             {1, 4},
             false,
             {1}},
        Case{"IdleTakesOnlyTheIdle", "idle", {Model(60), Model(40)}, {1}, false, {1}},
        Case{"IdleTakesNobodyElse", "idle", {Model(60), Model(40)}, {2}, false, {}},
        Case{"IdleAsksEachByItsOwnMeasure",
             "idle",
             {KeptAlive(Model(60), 30), KeptAlive(Model(40), 70), Model(45)},
             {2},
             false,
             {2, 0}},
        Case{"NoEvictionTakesNobody", "noeviction", {Model(1), Model(2)}, {1, 5, 5}, true, {}}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(EvictionPolicyTest, AUseIsWorthHalfAfterTenMinutes) {
  EXPECT_DOUBLE_EQ(DecayedUses(8, Seconds(0)), 8);
  EXPECT_DOUBLE_EQ(DecayedUses(8, Seconds(600)), 4);
  EXPECT_DOUBLE_EQ(DecayedUses(8, Seconds(1800)), 1);
  EXPECT_DOUBLE_EQ(DecayedUses(8, Seconds(-5)), 8);
}

TEST(EvictionPolicyTest, EachPolicyKnowsItsName) {
  for (const char* name : {"lru", "lfu", "idle", "noeviction"}) {
    EXPECT_EQ(MakeEvictionPolicy(name, 1.0)->name(), name);
  }
}

TEST(EvictionPolicyTest, AnUnknownWordNamesTheKnownOnes) {
  try {
    MakeEvictionPolicy("random", 1.0);
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_EQ(error.pointer(), "/unload/policy");
    EXPECT_NE(std::string(error.what()).find("lru"), std::string::npos);
  }
}

TEST(EvictionPolicyTest, IdleWithoutATimeIsRefused) {
  EXPECT_THROW(MakeEvictionPolicy("idle", std::nullopt), ConfigError);
}

}  // namespace
}  // namespace hearth
