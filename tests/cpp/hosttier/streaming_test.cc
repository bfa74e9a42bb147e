// Pieces of a file read into memory, and the ring of buffers they are read into.
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "base/error.h"
#include "fakes/tier_fixture.h"
#include "hosttier/file_reader.h"
#include "hosttier/pinned_ring.h"

namespace hearth {
namespace {

constexpr std::uint64_t kSize = 300'000;

class StreamingTest : public TierFixture {
 protected:
  void ExpectAllPieces(const FileReader& reader) {
    const std::string bytes = PatternBytes(kSize);
    const PinnedRing ring({system, registrar}, 1, 100'000 + FileReader::kSlack);
    for (std::uint64_t offset = 0; offset < kSize; offset += 77'777) {
      const std::size_t size = std::min<std::uint64_t>(100'000, kSize - offset);
      const std::byte* const read = reader.Read(offset, size, ring.buffer(0));
      EXPECT_EQ(std::memcmp(read, bytes.data() + offset, size), 0) << offset;
    }
  }
  std::shared_ptr<MappedFile> Opened() {
    auto file = std::make_shared<MappedFile>(system, WriteModel("a", kSize));
    EXPECT_EQ(file->Map(), 0);
    return file;
  }
};

TEST_F(StreamingTest, BothPathsGiveTheSameBytes) {
  const auto file = Opened();
  for (const ReadPath path : {ReadPath::kAuto, ReadPath::kPageCache, ReadPath::kDirect}) {
    ExpectAllPieces(FileReader(*file, path, 0));
  }
}

TEST_F(StreamingTest, ShortAndInterruptedReadsChangeNothing) {
  system->most_per_read = 12'345;
  system->interrupts = true;
  const auto file = Opened();
  for (const ReadPath path : {ReadPath::kPageCache, ReadPath::kDirect}) {
    ExpectAllPieces(FileReader(*file, path, 0));
  }
}

TEST_F(StreamingTest, WhatIsCachedIsNotReadPastTheCache) {
  const auto file = Opened();
  file->system().Advise(file->address(), file->size(), MADV_WILLNEED);
  EXPECT_FALSE(FileReader(*file, ReadPath::kAuto, 0).is_direct());
}

TEST_F(StreamingTest, AFileSystemThatRefusesDirectReadsIsReadThroughTheCache) {
  const auto file = Opened();
  system->errors[FaultySystemCalls::kOpen] = EINVAL;
  const FileReader reader(*file, ReadPath::kDirect, 0);
  EXPECT_FALSE(reader.is_direct());
  ExpectAllPieces(reader);
}

TEST_F(StreamingTest, ErrorsAndEarlyEndsAreReportedAtTheirByte) {
  for (const std::uint64_t at : {std::uint64_t{0}, std::uint64_t{4096}, std::uint64_t{99'999}}) {
    for (const bool ends : {false, true}) {
      auto faulty = std::make_shared<FaultySystemCalls>();
      system = faulty;
      const auto file = Opened();
      (ends ? faulty->ends_at : faulty->read_fails_at) = at;
      const FileReader reader(*file, ReadPath::kAuto, kSize);
      const PinnedRing ring({system, registrar}, 1, kSize + FileReader::kSlack);
      try {
        reader.Read(0, kSize, ring.buffer(0));
        ADD_FAILURE() << "byte " << at << " was not missed";
      } catch (const CheckpointCorrupt& error) {
        EXPECT_EQ(error.byte_offset(), at);
      }
    }
  }
}

TEST_F(StreamingTest, TheRingIsRegisteredWhileItLives) {
  {
    const PinnedRing ring({system, registrar}, 4, 5000);
    EXPECT_TRUE(ring.is_registered());
    ASSERT_EQ(registrar->ranges().size(), 1U);
    EXPECT_EQ(registrar->ranges()[0].size, 4 * ring.buffer_bytes());
    std::memset(ring.buffer(3), 1, ring.buffer_bytes());
  }
  EXPECT_TRUE(registrar->ranges().empty());
}

TEST_F(StreamingTest, ARingThatCannotBeRegisteredServesAllTheSame) {
  registrar->refuse_from = 0;
  const PinnedRing ring({system, registrar}, 2, 5000);
  EXPECT_FALSE(ring.is_registered());
  std::memset(ring.buffer(1), 1, ring.buffer_bytes());
}

TEST_F(StreamingTest, ARingWithoutMemoryIsAnError) {
  system->errors[FaultySystemCalls::kAnonymous] = ENOMEM;
  EXPECT_THROW(PinnedRing({system, registrar}, 2, 5000), Error);
}

}  // namespace
}  // namespace hearth
