#include "cache/event_ring.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "fakes/manual_clock.h"

namespace hearth {
namespace {

CacheEvent Named(const std::string& model) {
  CacheEvent event;
  event.model = model;
  return event;
}

TEST(EventRingTest, TheOldestGoFirstAndSequencesHaveNoGaps) {
  EventRing ring(2, std::make_shared<ManualClock>());
  for (const char* model : {"a", "b", "c"}) ring.Append(Named(model));
  const std::vector<CacheEvent> events = ring.Since(0, 10);
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].model, "b");
  EXPECT_EQ(events[0].sequence, 2U);
  EXPECT_EQ(events[1].sequence, 3U);
}

TEST(EventRingTest, AReaderGoesOnWhereItStopped) {
  EventRing ring(8, std::make_shared<ManualClock>());
  for (const char* model : {"a", "b", "c"}) ring.Append(Named(model));
  EXPECT_EQ(ring.Since(1, 1).at(0).model, "b");
  EXPECT_EQ(ring.Since(2, 10).size(), 1U);
  EXPECT_TRUE(ring.Since(3, 10).empty());
  EXPECT_TRUE(ring.Since(99, 10).empty());
}

TEST(EventRingTest, EventsCarryTheTimeTheyHappened) {
  const auto clock = std::make_shared<ManualClock>();
  EventRing ring(8, clock);
  clock->Advance(41);
  ring.Append(Named("a"));
  EXPECT_EQ(ring.Since(0, 1)[0].unix_seconds, 42);
}

TEST(EventRingTest, WritersOnManyThreadsLoseNothing) {
  EventRing ring(4096, std::make_shared<ManualClock>());
  std::vector<std::thread> writers;
  for (int i = 0; i < 8; ++i) {
    writers.emplace_back([&ring] {
      for (int j = 0; j < 256; ++j) ring.Append(Named("a"));
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(ring.last_sequence(), 2048U);
  EXPECT_EQ(ring.Since(0, 10000).size(), 2048U);
}

TEST(CacheEventTest, EveryKindHasAWordThatLeadsBackToIt) {
  for (int i = 0; i <= static_cast<int>(EventKind::kNoted); ++i) {
    const auto kind = static_cast<EventKind>(i);
    EXPECT_EQ(EventKindFromString(ToString(kind)), kind);
  }
  EXPECT_THROW(EventKindFromString("exploded"), std::invalid_argument);
}

}  // namespace
}  // namespace hearth
