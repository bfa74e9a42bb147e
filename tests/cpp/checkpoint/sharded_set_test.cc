#include "checkpoint/sharded_set.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "checkpoint/file_bytes.h"
#include "checkpoint/temp_folder.h"

namespace hearth {
namespace {

const char kIndexName[] = "m.safetensors.index.json";

// Two shards with the tensors "a", "b" in the one and "c" in the other.
class ShardedSetTest : public testing::Test {
 protected:
  ShardedSetTest() {
    folder_.Write("m-1.safetensors", FileBytes("{" + Entry("a", "U8", "[1]", "[0,1]") + "," +
                                                   Entry("b", "U8", "[2]", "[1,3]") + "}",
                                               3));
    folder_.Write("m-2.safetensors", FileBytes("{" + Entry("c", "U8", "[4]", "[0,4]") + "}", 4));
  }

  ShardedSet Check(const std::string& json, const AllowedRoots& roots = {}) {
    return CheckShardedSet(folder_.Write(kIndexName, json), roots);
  }

  std::string ReasonToRefuse(const std::string& json) {
    try {
      Check(json);
    } catch (const CheckpointCorrupt& error) {
      return error.what();
    }
    ADD_FAILURE() << "was accepted: " << json;
    return {};
  }

  TempFolder folder_;
};

const char kMap[] =
    R"("weight_map":{"a":"m-1.safetensors","b":"m-1.safetensors","c":"m-2.safetensors"})";

TEST_F(ShardedSetTest, CompleteSetIsGood) {
  const ShardedSet set =
      Check(std::string(R"({"metadata":{"total_size":7,"x":[1,{"y":null}]},)") + kMap + "}");
  EXPECT_EQ(set.shards, (std::vector<std::string>{"m-1.safetensors", "m-2.safetensors"}));
  EXPECT_EQ(set.tensors, 3u);
  EXPECT_EQ(set.tensor_bytes, 7u);
  EXPECT_TRUE(set.warnings.empty());
}

TEST_F(ShardedSetTest, MissingShardIsNotFound) {
  EXPECT_THROW(Check(R"({"weight_map":{"a":"m-3.safetensors"}})"), CheckpointNotFound);
}

TEST_F(ShardedSetTest, CorruptShardIsNamed) {
  folder_.Write("m-2.safetensors", FileBytes("{" + Entry("c", "U8", "[4]", "[0,4]") + "}", 3));
  const std::string reason = ReasonToRefuse(std::string("{") + kMap + "}");
  EXPECT_EQ(reason.find("m-2.safetensors: the file is cut off"), 0u) << reason;
}

TEST_F(ShardedSetTest, TensorInAnotherShardThanTheMapSaysIsRefused) {
  const std::string reason =
      ReasonToRefuse(R"({"weight_map":{"c":"m-1.safetensors","a":"m-2.safetensors"}})");
  EXPECT_NE(reason.find("does not hold this tensor"), std::string::npos) << reason;
}

TEST_F(ShardedSetTest, TensorInTwoShardsIsRefused) {
  folder_.Write("m-2.safetensors", FileBytes("{" + Entry("c", "U8", "[4]", "[0,4]") + "," +
                                                 Entry("a", "U8", "[1]", "[4,5]") + "}",
                                             5));
  const std::string reason = ReasonToRefuse(std::string("{") + kMap + "}");
  EXPECT_NE(reason.find("both m-1.safetensors and m-2.safetensors"), std::string::npos) << reason;
}

TEST_F(ShardedSetTest, TensorOutsideTheMapAndOtherTotalAreWarnings) {
  const ShardedSet set = Check(
      R"({"metadata":{"total_size":6},"weight_map":{"a":"m-1.safetensors","c":"m-2.safetensors"}})");
  EXPECT_EQ(set.warnings.size(), 2u);
}

TEST_F(ShardedSetTest, ShardIsAFileOfTheSameFolderAndNeverAPath) {
  for (const char* name : {R"("../m-1.safetensors")", R"("/etc/passwd")", R"("sub/m.safetensors")",
                           R"("..\\m-1.safetensors")", R"("m-1.safetensors\u0000.safetensors")",
                           R"("")", R"(".")", R"("..")", R"(".safetensors")", R"("m.bin")"}) {
    const std::string reason = ReasonToRefuse(std::string(R"({"weight_map":{"a":)") + name + "}}");
    EXPECT_NE(reason.find("in the same folder"), std::string::npos) << reason;
  }
}

TEST_F(ShardedSetTest, LinkOutOfTheRootsIsRefused) {
  TempFolder elsewhere;
  std::filesystem::rename(folder_ / "m-2.safetensors", elsewhere / "m-2.safetensors");
  std::filesystem::create_symlink(elsewhere / "m-2.safetensors", folder_ / "m-2.safetensors");
  EXPECT_NO_THROW(Check(std::string("{") + kMap + "}"));
  EXPECT_THROW(Check(std::string("{") + kMap + "}", {{folder_.path()}}), CheckpointCorrupt);
}

TEST_F(ShardedSetTest, BrokenMapsAreRefused) {
  for (const char* json :
       {"", "[]", "{}", "null", R"({"weight_map":null})", R"({"weight_map":[]})",
        R"({"weight_map":{"a":1}})", R"({"weight_map":{"a":null}})", R"({"weight_map":{"a":[]}})",
        R"({"weight_map":{"a":{}}})", R"({"weight_map":{},"weight_map":{}})",
        R"({"weight_map":{"a":"m-1.safetensors","a":"m-1.safetensors"}})",
        R"({"weight_map":{"a":"m-1.safetensors"}} x)"}) {
    EXPECT_FALSE(ReasonToRefuse(json).empty());
  }
}

TEST_F(ShardedSetTest, MapInsideTheMetadataIsNoMap) {
  EXPECT_FALSE(ReasonToRefuse(R"({"metadata":{"weight_map":{"a":"m-1.safetensors"}}})").empty());
}

}  // namespace
}  // namespace hearth
