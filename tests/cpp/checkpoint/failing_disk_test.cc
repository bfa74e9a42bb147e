// The reader over a disk that gives less than asked for, is interrupted, fails or ends early.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "checkpoint/content_scan.h"
#include "checkpoint/file_bytes.h"
#include "checkpoint/memory_source.h"
#include "checkpoint/safetensors_index.h"

namespace hearth {
namespace {

const std::string kHeader =
    "{" + Entry("a", "F32", "[4]", "[0,16]") + "," + Entry("b", "BF16", "[8]", "[16,32]") + "}";
const std::string kFile = FileBytes(kHeader, 32);

TEST(FailingDiskTest, ShortAndInterruptedReadsChangeNothing) {
  for (const std::size_t most : {1, 2, 3, 7, 8, 9, 4096}) {
    const MemorySource source(kFile, {.most_per_read = most, .interrupt_every_other = true});
    const SafetensorsIndex index = SafetensorsIndex::Read(source);
    EXPECT_EQ(index.tensors().size(), 2u) << most;
    std::string seen;
    ScanContents(source, index, {.threads = 2, .block_bytes = 64},
                 [&](std::string_view block) { seen += block; });
    EXPECT_EQ(seen, kFile) << most;
  }
}

// Every byte of the file is once the one that cannot be read.
TEST(FailingDiskTest, ErrorIsReportedAtItsByteWhereverItIs) {
  for (std::size_t at = 0; at < kFile.size(); ++at) {
    const MemorySource source(kFile, {.error_at = at});
    try {
      const SafetensorsIndex index = SafetensorsIndex::Read(source);
      EXPECT_GE(at, 8 + kHeader.size()) << "the header was not read";
      ScanContents(source, index, {.threads = 2, .block_bytes = 64}, [](std::string_view) {});
      ADD_FAILURE() << "byte " << at << " was not missed";
    } catch (const CheckpointCorrupt& error) {
      EXPECT_EQ(error.byte_offset(), at);
      EXPECT_NE(std::string(error.what()).find("Input/output error"), std::string::npos)
          << error.what();
    }
  }
}

TEST(FailingDiskTest, EarlyEndIsReportedAtItsByteWhereverItIs) {
  for (std::size_t at = 0; at < kFile.size(); ++at) {
    const MemorySource source(kFile, {.ends_at = at});
    try {
      const SafetensorsIndex index = SafetensorsIndex::Read(source);
      ScanContents(source, index, {.threads = 2, .block_bytes = 64}, [](std::string_view) {});
      ADD_FAILURE() << "byte " << at << " was not missed";
    } catch (const CheckpointCorrupt& error) {
      EXPECT_EQ(error.byte_offset(), at);
      EXPECT_NE(std::string(error.what()).find("ended here"), std::string::npos) << error.what();
    }
  }
}

// The whole file, cut at every byte: never accepted, and once the header is whole the number of
// missing bytes is told.
TEST(FailingDiskTest, FileCutAtAnyByteIsRefused) {
  for (std::size_t size = 0; size < kFile.size(); ++size) {
    try {
      SafetensorsIndex::Read(MemorySource(kFile.substr(0, size)));
      ADD_FAILURE() << "accepted at " << size;
    } catch (const CheckpointCorrupt& error) {
      const std::size_t count = kFile.size() - size;
      const std::string missing =
          std::to_string(count) + (count == 1 ? " byte is missing" : " bytes are missing");
      if (size >= 8 + kHeader.size()) {
        EXPECT_NE(std::string(error.what()).find(missing), std::string::npos) << error.what();
      }
    }
  }
}

TEST(FailingDiskTest, FreshFileIsSaidToBeOnItsWayPerhaps) {
  MemorySource source(kFile.substr(0, 40));
  source.is_fresh = true;
  try {
    SafetensorsIndex::Read(source);
    FAIL() << "was accepted";
  } catch (const CheckpointCorrupt& error) {
    EXPECT_NE(std::string(error.what()).find("may still be on its way"), std::string::npos)
        << error.what();
  }
}

TEST(FailingDiskTest, FaultNamesTensorByteAndWhatWouldBeRight) {
  const std::string header = "{" + Entry("net.weight", "f32", "[1]", "[0,4]") + "}";
  try {
    SafetensorsIndex::Read(MemorySource(FileBytes(header, 4)));
    FAIL() << "was accepted";
  } catch (const CheckpointCorrupt& error) {
    EXPECT_EQ(error.tensor(), "net.weight");
    EXPECT_EQ(error.byte_offset(), 8 + header.find("\"f32\""));
    EXPECT_NE(error.expected().find("F32"), std::string::npos) << error.expected();
  }
}

TEST(FailingDiskTest, OffsetOfAFaultIsThatOfItsToken) {
  const auto offset_of = [](const std::string& header) {
    try {
      SafetensorsIndex::Read(MemorySource(FileBytes(header, 4)));
    } catch (const CheckpointCorrupt& error) {
      return error.byte_offset() - 8;
    }
    return std::uint64_t{0};
  };
  const std::string negative = "{" + Entry("x\\\"y", "F32", "[ -17 ]", "[0,4]") + "}";
  EXPECT_EQ(offset_of(negative), negative.find("-17"));
  const std::string null = R"({"x" : null})";
  EXPECT_EQ(offset_of(null), null.find("null"));
  const std::string twice = R"({"__metadata__":{"a\\":"1","a\\":"2"}})";
  EXPECT_EQ(offset_of(twice), twice.rfind("\"a"));
}

}  // namespace
}  // namespace hearth
