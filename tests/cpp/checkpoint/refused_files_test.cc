// The list of what must be refused, each with what its message must name.
#include <gtest/gtest.h>

#include <optional>
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

// What files may ask for is a promise of the documents; a test that uses the names would follow
// wherever they go.
static_assert(kMaxHeaderBytes == 100'000'000);
static_assert(kMaxTensors == 1'000'000);
static_assert(kMaxRank == 64);
static_assert(kMaxNameBytes == 65'536);

struct RefusedFile {
  const char* name;
  std::string bytes;
  const char* reason;  // a part of the message
};

void PrintTo(const RefusedFile& file, std::ostream* out) { *out << file.name; }

const std::string kGood = "{" + Entry("x", "F32", "[1]", "[0,4]") + "}";

// A file whose one tensor has this object as its entry.
std::string WithEntry(const std::string& entry, std::size_t data = 4) {
  return FileBytes(R"({"x":)" + entry + "}", data);
}
std::string WithShape(const std::string& shape) {
  return WithEntry(R"({"dtype":"F32","shape":)" + shape + R"(,"data_offsets":[0,4]})");
}
std::string WithOffsets(const std::string& offsets) {
  return WithEntry(R"({"dtype":"F32","shape":[1],"data_offsets":)" + offsets + "}");
}
std::string WithDtype(const std::string& dtype) {
  return WithEntry(R"({"dtype":)" + dtype + R"(,"shape":[1],"data_offsets":[0,4]})");
}
std::string WithMetadata(const std::string& metadata) {
  return FileBytes(R"({"__metadata__":)" + metadata + "}");
}
std::string Repeat(std::string_view text, std::size_t times) {
  std::string all;
  for (std::size_t i = 0; i < times; ++i) all += text;
  return all;
}
// Two tensors of 4 bytes each.
std::string Pair(const std::string& first, const std::string& second, std::size_t data) {
  return FileBytes(
      "{" + Entry("a", "F32", "[1]", first) + "," + Entry("b", "F32", "[1]", second) + "}", data);
}

const std::vector<RefusedFile> kLengthField = {
    {"Empty", "", "the file is empty"},
    {"SevenBytes", std::string(7, '\x01'), "only 7 bytes"},
    {"LengthOnly", LengthField(20), "20 bytes of the header are missing"},
    {"LengthZeroAlone", LengthField(0), "length is 0"},
    {"LengthZeroWithData", LengthField(0) + "abcdefghij", "length is 0"},
    {"LengthLargest", LengthField(~0ull) + kGood, "not a safetensors file"},
    {"LengthTwoTo63", LengthField(1ull << 63) + kGood, "not a safetensors file"},
    {"LengthThatWraps", LengthField(~0ull - 7) + kGood, "not a safetensors file"},
    {"LengthOverTheLimit", LengthField(kMaxHeaderBytes + 1) + kGood, "at most 100000000"},
    {"LengthPastTheEnd", LengthField(kGood.size() + 5) + kGood, "5 bytes of the header"},
    {"LengthShortByOne", LengthField(kGood.size() - 1) + kGood + "abcd", "JSON is broken"},
    {"LengthLongByOne", LengthField(kGood.size() + 1) + kGood + "abcd", "JSON is broken"},
};

const std::vector<RefusedFile> kEncoding = {
    {"InvalidUtf8", FileBytes("{\"\xff\xfe\":1}"), "JSON is broken"},
    {"OverlongUtf8", FileBytes("{\"\xc0\xaf\":1}"), "JSON is broken"},
    {"ByteOrderMark", FileBytes("\xef\xbb\xbf{}"), "byte order mark"},
    {"Utf16", FileBytes(std::string("\xff\xfe{\0}\0", 6)), "does not start with {"},
    {"NotJson", FileBytes("{hello world}"), "JSON is broken"},
    {"GarbageAfterTheObject", FileBytes("{} x"), "JSON is broken"},
    {"TwoObjects", FileBytes("{}{}"), "JSON is broken"},
    {"NulPadding", FileBytes(std::string("{}\0\0\0", 5)), "NUL"},
    {"Comment", FileBytes("{/* hi */}"), "JSON is broken"},
    {"LineComment", FileBytes("{// hi\n}"), "JSON is broken"},
    {"ListAsRoot", FileBytes("[]"), "does not start with {"},
    {"NullAsRoot", FileBytes("null"), "does not start with {"},
    {"TextAsRoot", FileBytes("\"{}\""), "does not start with {"},
    {"NumberAsRoot", FileBytes("12345678"), "does not start with {"},
    {"OnlySpaces", FileBytes("    "), "does not start with {"},
    {"DeepLists", FileBytes("{\"x\":" + Repeat("[", 100000) + Repeat("]", 100000) + "}"), "list"},
    {"DeepObjects", FileBytes(Repeat("{\"x\":", 100000) + "1" + Repeat("}", 100000)), "nested"},
    {"DeepUnknownField", WithEntry("{\"note\":" + Repeat("[", 100000) + Repeat("]", 100000) + "}"),
     "nested too deeply"},
    {"LoneSurrogate", FileBytes(R"({"\ud800":1})"), "JSON is broken"},
    {"LoneLowSurrogate", FileBytes(R"({"\udc00x":1})"), "JSON is broken"},
    {"BadEscape", FileBytes(R"({"\x":1})"), "JSON is broken"},
    {"ControlByteInText", FileBytes("{\"a\nb\":1}"), "JSON is broken"},
    {"TrailingComma", FileBytes("{" + Entry("x", "F32", "[1]", "[0,4]") + ",}", 4),
     "JSON is broken"},
    {"UnclosedObject", FileBytes(R"({"x":)"), "JSON is broken"},
    {"SingleQuotes", FileBytes("{'x':1}"), "JSON is broken"},
};

const std::vector<RefusedFile> kFields = {
    {"NoDtype", WithEntry(R"({"shape":[1],"data_offsets":[0,4]})"), "no dtype"},
    {"NoShape", WithEntry(R"({"dtype":"F32","data_offsets":[0,4]})"), "no shape"},
    {"NoOffsets", WithEntry(R"({"dtype":"F32","shape":[1]})"), "no data_offsets"},
    {"NoFields", WithEntry("{}"), "no dtype"},
    {"UnknownDtype", WithDtype(R"("F33")"), "the text \"F33\""},
    {"LowerCaseDtype", WithDtype(R"("f32")"), "one of BOOL"},
    {"NumericDtype", WithDtype("32"), "the number 32"},
    {"NullDtype", WithDtype("null"), "dtype is null"},
    {"ListDtype", WithDtype(R"(["F32"])"), "dtype is a list"},
    {"ObjectDtype", WithDtype(R"({"F32":null})"), "dtype is a list or object"},
    {"NegativeShape", WithShape("[-1]"), "the number -1"},
    {"FloatShape", WithShape("[1.0]"), "the number 1.0"},
    {"TextShape", WithShape(R"(["1"])"), "the text \"1\""},
    {"ShapeNoList", WithShape("1"), "shape is the number 1"},
    {"ShapeObject", WithShape("{}"), "shape is an object"},
    {"NullShape", WithShape("null"), "shape is null"},
    {"BoolShape", WithShape("[true]"), "true or false"},
    {"NestedShape", WithShape("[[1]]"), "list or object"},
    {"ShapeOverflows", WithShape("[4294967296,4294967296]"), "larger than any file"},
    {"ShapeTimesSizeOverflows", WithShape("[4611686018427387904]"), "larger than any file"},
    {"ShapeOverflowsThenZero", WithShape("[4294967296,4294967296,0]"), "larger than any file"},
    {"ShapeWrapsToMatch", WithShape("[4194305,4194305,211106198978564]"), "larger than any file"},
    {"ShapeOver64Bits", WithShape("[18446744073709551616]"), "the number 18446744073709551616"},
    {"ShapeHugeExponent", WithShape("[1e400]"), "1e400"},
    {"ShapeNaN", WithShape("[NaN]"), "JSON is broken"},
    {"HundredThousandDimensions", WithShape("[1" + Repeat(",1", 99999) + "]"), "at most 64"},
    {"OneOffset", WithOffsets("[0]"), "holds 1 numbers"},
    {"ThreeOffsets", WithOffsets("[0,4,4]"), "holds 3 numbers"},
    {"NoOffsetNumbers", WithOffsets("[]"), "holds 0 numbers"},
    {"NegativeOffset", WithOffsets("[-4,0]"), "the number -4"},
    {"ReversedOffsets", WithOffsets("[4,0]"), "before it begins"},
    {"FloatOffset", WithOffsets("[0,4.0]"), "the number 4.0"},
    {"TextOffset", WithOffsets(R"(["0","4"])"), "the text \"0\""},
    {"LargestOffset", WithOffsets("[0,18446744073709551615]"), "18446744073709551615"},
    {"MinusZeroOffset", WithOffsets("[-0,4]"), "the number -0"},
    {"LeadingZeroOffset", WithOffsets("[00,4]"), "JSON is broken"},
    {"PlusSignOffset", WithOffsets("[+0,4]"), "JSON is broken"},
    {"ExponentOffset", WithOffsets("[0,4e0]"), "the number 4e0"},
    {"HexOffset", WithOffsets("[0,0x4]"), "JSON is broken"},
    {"NullTensor", WithEntry("null"), "the entry is null"},
    {"ListTensor", WithEntry("[]"), "the entry is a list"},
    {"TensorAsList", WithEntry(R"(["F32",[1],[0,4]])"), "the entry is a list"},
    {"TextTensor", WithEntry("\"F32\""), "the entry is the text"},
    {"DtypeTwice", WithEntry(R"({"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]})"),
     "\"dtype\" occurs a second time"},
    {"SameTensorTwice",
     FileBytes(
         "{" + Entry("x", "F32", "[1]", "[0,4]") + "," + Entry("x", "F32", "[1]", "[0,4]") + "}",
         4),
     "\"x\" occurs a second time"},
    {"SameTensorTwiceWithOtherRange",
     FileBytes(
         "{" + Entry("x", "F32", "[1]", "[0,4]") + "," + Entry("x", "F32", "[1]", "[4,8]") + "}",
         8),
     "\"x\" occurs a second time"},
    {"SameTensorTwiceEscaped",
     FileBytes("{" + Entry("x", "F32", "[1]", "[0,4]") + "," +
                   Entry("\\u0078", "F32", "[1]", "[4,8]") + "}",
               8),
     "\"x\" occurs a second time"},
};

const std::vector<RefusedFile> kLayout = {
    {"EndPastTheFile", WithOffsets("[0,4]").substr(0, FileBytes(kGood).size()), "4 bytes are"},
    {"TruncatedByTwo", FileBytes(kGood, 2), "2 bytes are missing"},
    {"TooFewBytesForTheShape", WithShape("[2]"), "takes 8 bytes"},
    {"TooManyBytesForTheShape", WithShape("[0]"), "takes 0 bytes"},
    {"TrailingBytes", FileBytes(kGood, 10), "6 bytes belong to no tensor"},
    {"TrailingArchive", FileBytes(kGood, 4) + "PK\x03\x04zip", "7 bytes belong to no tensor"},
    {"HoleAtTheStart", WithOffsets("[4,8]") + "abcd", "after the header belong to no tensor"},
    {"HoleBetween", Pair("[0,4]", "[8,12]", 12), "after tensor \"a\" belong to no tensor"},
    {"FullOverlap", Pair("[0,4]", "[0,4]", 4), "overlaps that of tensor \"a\""},
    {"PartialOverlap", Pair("[0,4]", "[2,6]", 6), "overlaps that of tensor \"a\""},
    {"DataWithoutTensors", FileBytes("{}", 8), "8 bytes belong to no tensor"},
    {"ZeroSizePastTheEnd",
     FileBytes(
         "{" + Entry("x", "F32", "[1]", "[0,4]") + "," + Entry("z", "F32", "[0]", "[9,9]") + "}",
         4),
     "belong to no tensor"},
    {"ZeroSizeInsideAnother",
     FileBytes(
         "{" + Entry("x", "F32", "[1]", "[0,4]") + "," + Entry("z", "F32", "[0]", "[2,2]") + "}",
         4),
     "overlaps"},
    {"EmptyRangeWithShape", WithOffsets("[0,0]").substr(0, FileBytes(kGood).size()), "give it 0"},
    {"OddF4Count", FileBytes("{" + Entry("x", "F4", "[3]", "[0,1]") + "}", 1), "whole bytes"},
    {"OddF6Count", FileBytes("{" + Entry("x", "F6_E2M3", "[3]", "[0,2]") + "}", 2), "whole bytes"},
};

std::string ThousandfoldOverlap() {
  std::string header = "{";
  for (int i = 0; i < 1000; ++i) {
    if (i > 0) header += ",";
    header += Entry("t" + std::to_string(i), "F32", "[1000]", "[0,4000]");
  }
  return FileBytes(header + "}", 4000);
}

const std::vector<RefusedFile> kMetadataAndNames = {
    {"ThousandfoldOverlap", ThousandfoldOverlap(), "overlaps"},
    {"MetadataNumber", WithMetadata(R"({"a":1})"), "metadata \"a\" is the number 1"},
    {"MetadataNull", WithMetadata(R"({"a":null})"), "metadata \"a\" is null"},
    {"MetadataNested", WithMetadata(R"({"a":{"b":"c"}})"), "metadata value is an object"},
    {"MetadataValueList", WithMetadata(R"({"a":["b"]})"), "metadata value is a list"},
    {"MetadataList", WithMetadata("[]"), "the entry is a list"},
    {"MetadataText", WithMetadata("\"a\""), "the entry is the text"},
    {"MetadataKeyTwice", WithMetadata(R"({"a":"1","a":"2"})"), "\"a\" occurs a second time"},
    {"MetadataTwice", FileBytes(R"({"__metadata__":{},"__metadata__":{}})"), "second time"},
    {"NameOver64K", FileBytes("{" + Entry(std::string(65537, 'n'), "F32", "[1]", "[0,4]") + "}", 4),
     "65537 bytes"},
};

const std::vector<RefusedFile> kDisguises = {
    {"LfsPointer", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 123\n",
     "Git LFS pointer"},
    {"HtmlPage", "<!DOCTYPE html><html><body>Please log in</body></html>", "a web page"},
    {"HtmlPageAfterSpaces", "\n\n  <html lang=en><body></body></html>", "a web page"},
    {"ServerError", R"({"error":"Unauthorized","message":"log in"})", "a JSON text"},
    {"ZipPickle", std::string("PK\x03\x04\x00\x00\x08\x08 archive/data.pkl", 26), "PyTorch"},
    {"BarePickle",
     "\x80\x02\x8a\x0al\xfc\x9c"
     "F\xf9 j\xa8P",
     "PyTorch"},
    {"Gguf", std::string("GGUF\x03\x00\x00\x00\x00\x00\x00\x00", 12), "GGUF"},
    {"SevenZip", std::string("7z\xbc\xaf\x27\x1c\x00\x04 more", 13), "an archive"},
    {"Gzip", std::string("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03 more", 15), "an archive"},
    {"Reserved", std::string(4096, '\0'), "empty space"},
};

class RefusedFileTest : public testing::TestWithParam<RefusedFile> {};

TEST_P(RefusedFileTest, IsRefusedAndSaysWhy) {
  const MemorySource source(GetParam().bytes);
  try {
    SafetensorsIndex::Read(source);
    FAIL() << "was accepted";
  } catch (const CheckpointCorrupt& error) {
    EXPECT_NE(std::string(error.what()).find(GetParam().reason), std::string::npos) << error.what();
    EXPECT_EQ(error.file_name(), "model.safetensors");
    EXPECT_LE(error.byte_offset(), GetParam().bytes.size()) << error.what();
    EXPECT_LT(std::string(error.what()).size(), 1000u) << "too long to read";
  }
}

std::string NameOfCase(const testing::TestParamInfo<RefusedFile>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(LengthField, RefusedFileTest, testing::ValuesIn(kLengthField), NameOfCase);
INSTANTIATE_TEST_SUITE_P(Encoding, RefusedFileTest, testing::ValuesIn(kEncoding), NameOfCase);
INSTANTIATE_TEST_SUITE_P(Fields, RefusedFileTest, testing::ValuesIn(kFields), NameOfCase);
INSTANTIATE_TEST_SUITE_P(Layout, RefusedFileTest, testing::ValuesIn(kLayout), NameOfCase);
INSTANTIATE_TEST_SUITE_P(MetadataAndNames, RefusedFileTest, testing::ValuesIn(kMetadataAndNames),
                         NameOfCase);
INSTANTIATE_TEST_SUITE_P(Disguises, RefusedFileTest, testing::ValuesIn(kDisguises), NameOfCase);

}  // namespace
}  // namespace hearth
