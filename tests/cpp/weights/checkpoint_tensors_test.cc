// A held file as tensors: where their bytes are, how long they last, and what is refused.
#include "weights/checkpoint_tensors.h"

#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "checkpoint/file_bytes.h"
#include "fakes/tier_fixture.h"
#include "weights/scalar_type.h"

namespace hearth {
namespace {

std::vector<HostFileHandle> One(HostFileHandle file) {
  std::vector<HostFileHandle> files;
  files.push_back(std::move(file));
  return files;
}

class CheckpointTensorsTest : public TierFixture {
 protected:
  HostFileHandle Hold(const std::string& name, std::string header, const std::string& data) {
    while (header.size() % 8 != 0) header += ' ';
    return tier->Hold(folder.Write(name, LengthField(header.size()) + header + data));
  }
};

TEST_F(CheckpointTensorsTest, AHeldFileIsNotCopied) {
  const HostFileHandle file =
      Hold("a", "{" + Entry("x", "F32", "[2,3]", "[0,24]") + "}", PatternBytes(24));
  const CheckpointTensors tensors(One(file.Duplicate()));
  const at::Tensor x = tensors.Find("x");
  EXPECT_EQ(x.scalar_type(), at::kFloat);
  EXPECT_EQ(x.sizes(), at::IntArrayRef({2, 3}));
  EXPECT_EQ(static_cast<const std::byte*>(x.const_data_ptr()),
            file->file().address() + file->file().size() - 24);
}

TEST_F(CheckpointTensorsTest, ATensorKeepsItsFileHeldWhenAllElseIsGone) {
  HostFileHandle file = Hold("a", "{" + Entry("x", "U8", "[16]", "[0,16]") + "}", PatternBytes(16));
  std::optional<CheckpointTensors> tensors(One(std::move(file)));
  at::Tensor view = tensors->Find("x").narrow(0, 4, 8);
  tensors.reset();
  EXPECT_EQ(tier->GiveWay(kMib), 0U);
  EXPECT_EQ(view[0].item<int>(), static_cast<unsigned char>(PatternBytes(16)[4]));
  view = at::Tensor();
  EXPECT_GT(tier->GiveWay(kMib), 0U);
}

TEST_F(CheckpointTensorsTest, ATensorOverTwoRegisteredSlicesKeepsItsTypeAndShapeOnADevice) {
  registrar->copies_span = false;
  const std::string size = std::to_string(2 * kMib);
  const HostFileHandle file = Hold(
      "a", "{" + Entry("x", "F32", "[512,1024]", "[0," + size + "]") + "}", PatternBytes(2 * kMib));
  file->Register({});
  const CheckpointTensors tensors(One(file.Duplicate()));
  const at::Tensor placed = tensors.PlacedOn(at::Device(at::kMeta), tensors.Find("x"));
  EXPECT_TRUE(placed.is_meta());
  EXPECT_EQ(placed.scalar_type(), at::kFloat);
  EXPECT_EQ(placed.sizes(), at::IntArrayRef({512, 1024}));
  EXPECT_TRUE(
      tensors.PlacedOn(at::Device(at::kCPU), tensors.Find("x")).is_alias_of(tensors.Find("x")));
}

TEST_F(CheckpointTensorsTest, ATensorAtAnOddByteIsCopied) {
  const std::string data = '\x07' + std::string("\0\0\x80\x3f", 4);
  const HostFileHandle file = Hold(
      "a", "{" + Entry("b", "U8", "[1]", "[0,1]") + "," + Entry("x", "F32", "[]", "[1,5]") + "}",
      data);
  const CheckpointTensors tensors(One(file.Duplicate()));
  EXPECT_EQ(tensors.Find("x").item<float>(), 1.0F);
  EXPECT_EQ(tensors.Find("x").dim(), 0);
}

TEST_F(CheckpointTensorsTest, EveryTypeThatTorchHasIsRead) {
  for (int i = 0; i <= static_cast<int>(Dtype::kU64); ++i) {
    const auto dtype = static_cast<Dtype>(i);
    const std::optional<at::ScalarType> type = ScalarTypeOf(dtype);
    if (!type) continue;
    // Two elements of ATen's; F4 has two numbers in each.
    const std::size_t bytes = 2 * at::elementSize(*type);
    const std::uint64_t numbers = bytes * 8 / BitsOf(dtype);
    const std::string name(ToString(dtype));
    const HostFileHandle file = Hold(name,
                                     "{" +
                                         Entry("x", name, "[" + std::to_string(numbers) + "]",
                                               "[0," + std::to_string(bytes) + "]") +
                                         "}",
                                     PatternBytes(bytes));
    const CheckpointTensors tensors(One(file.Duplicate()));
    EXPECT_EQ(tensors.Find("x").scalar_type(), *type) << name;
    EXPECT_EQ(tensors.Find("x").numel(), 2) << name;
  }
}

TEST_F(CheckpointTensorsTest, ATypeThatTorchLacksIsRefusedOnlyWhenItIsAskedFor) {
  const HostFileHandle file = Hold(
      "a",
      "{" + Entry("six", "F6_E2M3", "[4]", "[0,3]") + "," + Entry("x", "U8", "[1]", "[3,4]") + "}",
      PatternBytes(4));
  const CheckpointTensors tensors(One(file.Duplicate()));
  EXPECT_TRUE(tensors.Find("x").defined());
  EXPECT_TRUE(tensors.Has("six"));
  EXPECT_THROW(tensors.Find("six"), Error);
}

TEST_F(CheckpointTensorsTest, ShardsAreOneModel) {
  std::vector<HostFileHandle> files;
  files.push_back(Hold("one", "{" + Entry("a", "U8", "[1]", "[0,1]") + "}", "\1"));
  files.push_back(Hold("two", "{" + Entry("b", "U8", "[1]", "[0,1]") + "}", "\2"));
  const CheckpointTensors tensors(std::move(files));
  EXPECT_EQ(tensors.Find("a").item<int>(), 1);
  EXPECT_EQ(tensors.Find("b").item<int>(), 2);
  EXPECT_EQ(tensors.name(), "one and 1 more");
}

TEST_F(CheckpointTensorsTest, ShardsWithTheSameTensorAreRefused) {
  std::vector<HostFileHandle> files;
  files.push_back(Hold("one", "{" + Entry("a", "U8", "[1]", "[0,1]") + "}", "\1"));
  files.push_back(Hold("two", "{" + Entry("a", "U8", "[1]", "[0,1]") + "}", "\2"));
  EXPECT_THROW(CheckpointTensors(std::move(files)), CheckpointCorrupt);
}

TEST_F(CheckpointTensorsTest, IdentityIsTheFilesAndNotItsNames) {
  const HostFileHandle a = Hold("a", "{" + Entry("x", "U8", "[1]", "[0,1]") + "}", "\1");
  const HostFileHandle b = Hold("b", "{" + Entry("x", "U8", "[1]", "[0,1]") + "}", "\1");
  const CheckpointTensors first(One(a.Duplicate()));
  EXPECT_EQ(first.identity(), CheckpointTensors(One(a.Duplicate())).identity());
  EXPECT_NE(first.identity(), CheckpointTensors(One(b.Duplicate())).identity());
}

TEST_F(CheckpointTensorsTest, AFileThatIsWrittenToIsNotSoundAnyMore) {
  const HostFileHandle file = Hold("a", "{" + Entry("x", "U8", "[2]", "[0,2]") + "}", "\1\2");
  const CheckpointTensors tensors(One(file.Duplicate()));
  tensors.RequireSound();
  std::filesystem::resize_file(folder / "a", 9);
  EXPECT_THROW(tensors.RequireSound(), CheckpointCorrupt);
}

TEST_F(CheckpointTensorsTest, ABadHeaderIsRefused) {
  const HostFileHandle file = Hold("a", "{" + Entry("x", "U8", "[2]", "[0,2]") + "}", "\1");
  EXPECT_THROW(CheckpointTensors(One(file.Duplicate())), CheckpointCorrupt);
}

}  // namespace
}  // namespace hearth
