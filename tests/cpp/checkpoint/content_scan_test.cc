#include "checkpoint/content_scan.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "checkpoint/file_bytes.h"
#include "checkpoint/memory_source.h"
#include "checkpoint/value_counts.h"

namespace hearth {
namespace {

ValueCounts CountOf(Dtype dtype, const std::string& bytes) {
  return CountValues(dtype, bytes.data(), bytes.size());
}

template <class Bits>
std::string AllPatterns() {
  std::string bytes;
  for (std::uint32_t value = 0; value <= std::numeric_limits<Bits>::max(); ++value) {
    for (std::size_t i = 0; i < sizeof(Bits); ++i) bytes += static_cast<char>(value >> (8 * i));
  }
  return bytes;
}

// Each format over all its bit patterns: the numbers follow from its definition.
TEST(ValueCountsTest, EveryPatternOfASmallFormatIsCountedRight) {
  const std::string bytes = AllPatterns<std::uint8_t>();
  EXPECT_EQ(CountOf(Dtype::kF8E4M3, bytes), (ValueCounts{2, 0}));
  EXPECT_EQ(CountOf(Dtype::kF8E5M2, bytes), (ValueCounts{6, 2}));
  EXPECT_EQ(CountOf(Dtype::kF8E8M0, bytes), (ValueCounts{1, 0}));
  EXPECT_EQ(CountOf(Dtype::kF8E4M3Fnuz, bytes), (ValueCounts{1, 0}));
  EXPECT_EQ(CountOf(Dtype::kF8E5M2Fnuz, bytes), (ValueCounts{1, 0}));
  EXPECT_EQ(CountOf(Dtype::kU8, bytes), (ValueCounts{0, 0}));
  const std::string halves = AllPatterns<std::uint16_t>();
  EXPECT_EQ(CountOf(Dtype::kF16, halves), (ValueCounts{2 * 1023, 2}));
  EXPECT_EQ(CountOf(Dtype::kBF16, halves), (ValueCounts{2 * 127, 2}));
}

TEST(ValueCountsTest, WideFormatsAreCounted) {
  const std::string nan32("\x01\x00\x80\x7f", 4);
  const std::string minus_infinity32("\x00\x00\x80\xff", 4);
  const std::string one32("\x00\x00\x80\x3f", 4);
  EXPECT_EQ(CountOf(Dtype::kF32, nan32 + minus_infinity32 + one32), (ValueCounts{1, 1}));
  EXPECT_EQ(CountOf(Dtype::kC64, nan32 + minus_infinity32 + one32 + nan32), (ValueCounts{2, 1}));
  const std::string nan64("\x00\x00\x00\x00\x00\x00\xf8\xff", 8);
  const std::string infinity64("\x00\x00\x00\x00\x00\x00\xf0\x7f", 8);
  EXPECT_EQ(CountOf(Dtype::kF64, nan64 + infinity64), (ValueCounts{1, 1}));
}

// More of one kind than the narrow sums of one run can hold.
TEST(ValueCountsTest, LongRunsDoNotOverflow) {
  EXPECT_EQ(CountOf(Dtype::kF8E4M3, std::string(100000, '\x7f')).nan, 100000u);
  EXPECT_EQ(CountOf(Dtype::kBF16, std::string(400000, '\x7f')).nan, 0u);
  EXPECT_EQ(CountOf(Dtype::kF16, std::string(400000, '\x7f')).nan, 200000u);
}

// 1001 F32 that are all NaN behind one byte, so that every cut falls inside an element.
const std::string kHeader = "{" + Entry("odd", "U8", "[1]", "[0,1]") + "," +
                            Entry("a", "F32", "[1001]", "[1,4005]") + "," +
                            Entry("b", "C64", "[10]", "[4005,4085]") + "," +
                            Entry("none", "F32", "[0]", "[4085,4085]") + "}";
const std::string kFile = FileBytes(kHeader) + std::string(4085, '\xff');

TEST(ContentScanTest, CountsPerTensorWhateverTheBlocks) {
  const MemorySource source(kFile);
  const SafetensorsIndex index = SafetensorsIndex::Read(source);
  for (const std::size_t block : {64, 65, 100, 1000, 4096, 1 << 20}) {
    for (const unsigned threads : {1u, 2u, 5u}) {
      const auto counts = ScanContents(source, index, {.threads = threads, .block_bytes = block},
                                       [](std::string_view) {});
      ASSERT_EQ(counts.size(), 4u);
      EXPECT_EQ(counts[0], (ValueCounts{0, 0}));
      EXPECT_EQ(counts[1], (ValueCounts{1001, 0})) << block << " " << threads;
      EXPECT_EQ(counts[2], (ValueCounts{20, 0})) << block << " " << threads;
      EXPECT_EQ(counts[3], (ValueCounts{0, 0}));
    }
  }
}

TEST(ContentScanTest, GivesEveryByteOnceAndInOrder) {
  const MemorySource source(kFile);
  const SafetensorsIndex index = SafetensorsIndex::Read(source);
  std::string seen;
  ScanContents(source, index, {.threads = 3, .block_bytes = 64},
               [&](std::string_view block) { seen += block; });
  EXPECT_EQ(seen, kFile);
}

TEST(ContentScanTest, WhatTheSinkThrowsEndsTheScan) {
  const MemorySource source(kFile);
  const SafetensorsIndex index = SafetensorsIndex::Read(source);
  int blocks = 0;
  EXPECT_THROW(ScanContents(source, index, {.threads = 2, .block_bytes = 64},
                            [&](std::string_view) {
                              if (++blocks == 3) throw std::runtime_error("enough");
                            }),
               std::runtime_error);
  EXPECT_EQ(blocks, 3);
}

}  // namespace
}  // namespace hearth
