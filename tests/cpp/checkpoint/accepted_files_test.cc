// The list of what must be accepted, and what the index then says about it.
#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "base/error.h"
#include "checkpoint/file_bytes.h"
#include "checkpoint/memory_source.h"
#include "checkpoint/safetensors_header.h"
#include "checkpoint/safetensors_index.h"

namespace hearth {
namespace {

struct AcceptedFile {
  const char* name;
  std::string bytes;
  std::size_t tensors = 1;
  std::size_t warnings = 0;
};

void PrintTo(const AcceptedFile& file, std::ostream* out) { *out << file.name; }

std::string One(const std::string& dtype, const std::string& shape, std::size_t data) {
  return FileBytes("{" + Entry("x", dtype, shape, "[0," + std::to_string(data) + "]") + "}", data);
}

std::string Named(const std::string& name) {
  return FileBytes("{" + Entry(name, "F32", "[1]", "[0,4]") + "}", 4);
}

const std::vector<AcceptedFile> kAccepted = {
    {"NoTensors", FileBytes("{}"), 0},
    {"NoTensorsButMetadata", FileBytes(R"({"__metadata__":{"format":"pt"}})"), 0},
    {"NullMetadata", FileBytes(R"({"__metadata__":null})"), 0},
    {"ZeroDimension", One("F32", "[0,5]", 0)},
    {"Scalar", One("F32", "[]", 4)},
    {"RankOfTheLimit", One("U8",
                           "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,"
                           "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]",
                           1)},
    {"FieldsInOtherOrder",
     FileBytes(R"({"x":{"data_offsets":[0,4],"shape":[1],"dtype":"F32"}})", 4)},
    {"TensorsInOtherOrder",
     FileBytes(
         "{" + Entry("b", "F32", "[1]", "[4,8]") + "," + Entry("a", "F32", "[1]", "[0,4]") + "}",
         8),
     2},
    {"MetadataLast",
     FileBytes("{" + Entry("x", "F32", "[1]", "[0,4]") + R"(,"__metadata__":{"a":"b"}})", 4)},
    {"TrailingSpaces", FileBytes("{" + Entry("x", "F32", "[1]", "[0,4]") + "}      ", 4)},
    {"SpacesWithin", FileBytes("{\n\t " + Entry("x", "F32", "[ 1 ]", "[ 0 , 4 ]") + "\r\n}", 4)},
    {"LeadingSpace", FileBytes(" {" + Entry("x", "F32", "[1]", "[0,4]") + "}", 4), 1, 1},
    {"UnknownField",
     FileBytes(R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"note":[{"a":[1]}],"n":2}})",
               4),
     1, 1},
    {"BoolByteTwo", FileBytes("{" + Entry("x", "BOOL", "[1]", "[0,1]") + "}") + "\x02"},
    {"Complex", One("C64", "[2]", 16)},
    {"Unaligned",
     FileBytes(
         "{" + Entry("a", "U8", "[1]", "[0,1]") + "," + Entry("b", "F32", "[1]", "[1,5]") + "}", 5),
     2},
    {"EmptyTensorBetweenOthers",
     FileBytes("{" + Entry("a", "U8", "[1]", "[0,1]") + "," + Entry("z", "U8", "[0]", "[1,1]") +
                   "," + Entry("b", "U8", "[1]", "[1,2]") + "}",
               2),
     3},
    {"NotANumberAsData",
     FileBytes("{" + Entry("x", "F32", "[1]", "[0,4]") + "}") + "\xff\xff\xff\xff"},
    {"EmptyName", Named("")},
    {"NulInName", Named("a\\u0000b")},
    {"PathAsName", Named("../../etc/passwd")},
    {"AttributesAsName", Named("a.__class__.__base__.__subclasses__")},
    {"NameOf64K", Named(std::string(65536, 'n'))},
    {"NameBeyondAscii", Named("größe.重み.🔥")},
    {"NameAsEscapedPair", Named("\\ud83d\\udd25")},
};

class AcceptedFileTest : public testing::TestWithParam<AcceptedFile> {};

TEST_P(AcceptedFileTest, IsAccepted) {
  const SafetensorsIndex index = SafetensorsIndex::Read(MemorySource(GetParam().bytes));
  EXPECT_EQ(index.tensors().size(), GetParam().tensors);
  EXPECT_EQ(index.warnings().size(), GetParam().warnings);
  EXPECT_EQ(index.file_size(), GetParam().bytes.size());
}

INSTANTIATE_TEST_SUITE_P(List, AcceptedFileTest, testing::ValuesIn(kAccepted),
                         [](const testing::TestParamInfo<AcceptedFile>& info) {
                           return info.param.name;
                         });

struct DtypeCase {
  const char* name;
  std::size_t bytes_of_eight;
};

class EveryDtypeTest : public testing::TestWithParam<DtypeCase> {};

TEST_P(EveryDtypeTest, TakesItsSizeAndNoOther) {
  const auto [name, bytes] = GetParam();
  const SafetensorsIndex index = SafetensorsIndex::Read(MemorySource(One(name, "[8]", bytes)));
  EXPECT_EQ(ToString(index.tensors()[0].dtype), name);
  EXPECT_EQ(index.tensors()[0].size, bytes);
  EXPECT_THROW(SafetensorsIndex::Read(MemorySource(One(name, "[8]", bytes + 1))),
               CheckpointCorrupt);
}

INSTANTIATE_TEST_SUITE_P(
    List, EveryDtypeTest,
    testing::Values(DtypeCase{"BOOL", 8}, DtypeCase{"F4", 4}, DtypeCase{"F6_E2M3", 6},
                    DtypeCase{"F6_E3M2", 6}, DtypeCase{"U8", 8}, DtypeCase{"I8", 8},
                    DtypeCase{"F8_E5M2", 8}, DtypeCase{"F8_E4M3", 8}, DtypeCase{"F8_E8M0", 8},
                    DtypeCase{"F8_E4M3FNUZ", 8}, DtypeCase{"F8_E5M2FNUZ", 8}, DtypeCase{"I16", 16},
                    DtypeCase{"U16", 16}, DtypeCase{"F16", 16}, DtypeCase{"BF16", 16},
                    DtypeCase{"I32", 32}, DtypeCase{"U32", 32}, DtypeCase{"F32", 32},
                    DtypeCase{"C64", 64}, DtypeCase{"F64", 64}, DtypeCase{"I64", 64},
                    DtypeCase{"U64", 64}),
    [](const testing::TestParamInfo<DtypeCase>& info) { return info.param.name; });

TEST(SafetensorsIndexTest, TellsNamesShapesAndPlacesInTheOrderOfTheFile) {
  const std::string header = "{" + Entry("b", "BF16", "[2,3]", "[4,16]") + "," +
                             Entry("a", "F32", "[]", "[0,4]") +
                             R"(,"__metadata__":{"format":"pt","empty":""}})";
  const SafetensorsIndex index = SafetensorsIndex::Read(MemorySource(FileBytes(header, 16)));
  ASSERT_EQ(index.tensors().size(), 2u);
  EXPECT_EQ(index.tensors()[0].name, "a");
  EXPECT_EQ(index.tensors()[1].name, "b");
  EXPECT_EQ(index.tensors()[1].shape, (std::vector<std::uint64_t>{2, 3}));
  EXPECT_EQ(index.tensors()[1].offset, 8 + header.size() + 4);
  EXPECT_EQ(index.tensors()[1].end(), index.file_size());
  EXPECT_EQ(index.data_offset(), 8 + header.size());
  EXPECT_EQ(index.metadata().at("format"), "pt");
  EXPECT_EQ(index.Find("b"), &index.tensors()[1]);
  EXPECT_EQ(index.Find("c"), nullptr);
  EXPECT_EQ(index.Find(""), nullptr);
}

TEST(SafetensorsIndexTest, ReadsTheHeaderOnly) {
  const std::string header = "{" + Entry("x", "U8", "[1000000]", "[0,1000000]") + "}";
  const MemorySource source(FileBytes(header, 1000000));
  SafetensorsIndex::Read(source);
  EXPECT_EQ(source.furthest_read(), 8 + header.size());
}

TEST(SafetensorsHeaderTest, CountsTensorsUpToItsLimit) {
  const std::string name = "model.safetensors";
  const std::string two =
      "{" + Entry("a", "U8", "[0]", "[0,0]") + "," + Entry("b", "U8", "[0]", "[0,0]") + "}";
  EXPECT_EQ(ParseSafetensorsHeader({name, two, 8}, 2).tensors.size(), 2u);
  try {
    ParseSafetensorsHeader({name, two, 8}, 1);
    FAIL() << "was accepted";
  } catch (const CheckpointCorrupt& error) {
    EXPECT_NE(std::string(error.what()).find("at most 1"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace hearth
