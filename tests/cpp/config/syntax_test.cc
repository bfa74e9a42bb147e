// Texts that are no JSON: named by line, column and remedy.
#include <gtest/gtest.h>

#include <string>

#include "config/fault_table.h"

namespace hearth {
namespace {

using std::string_literals::operator""s;

class SyntaxTest : public testing::TestWithParam<BadConfig> {};

TEST_P(SyntaxTest, ItsOneFaultSaysWhereAndWhatWouldBeRight) { ExpectItsOneFault(GetParam()); }

const BadConfig kFiles[] = {
    {"Empty", "", "", "the file is empty; write {} for the defaults"},
    {"Blank", " \n\t\r\n", "", "the file is empty; write {} for the defaults"},
    {"ByteOrderMark", "\xEF\xBB\xBF{}", "", "byte-order mark; save it as UTF-8 without one"},
    {"Utf16", "\xFF\xFE{\0}\0"s, "", "UTF-16; save it as UTF-8"},
    {"Utf16BigEndian", "\xFE\xFF\0{\0}"s, "", "UTF-16; save it as UTF-8"},
    {"ZeroByteAtTheEnd", "{}\0"s, "", "zero byte"},
    {"TextBehindAZeroByte", "{}\0{\"transparent\": 1}"s, "", "zero byte"},
    {"TooLarge", "{" + std::string(std::size_t{1} << 20, ' ') + "}", "", "larger than 1 MiB"},
    {"TooDeep", std::string(100000, '['), "", "nested more than 32 deep"},
    {"NotUtf8", "{\"log\": {\"level\": \"\xFF\"}}", "",
     "line 1, column 20: not UTF-8; save the file as UTF-8"},
    {"Latin1Key",
     "{\"gr\xF6\xDF"
     "e\": 1}",
     "", "line 1, column 5: not UTF-8"},
};
INSTANTIATE_TEST_SUITE_P(File, SyntaxTest, testing::ValuesIn(kFiles), NameOf);

const BadConfig kWords[] = {
    {"NaN", R"({"budget": {"ram_gib": NaN}})", "",
     "line 1, column 24: JSON has no NaN and no Infinity; write a number"},
    {"SmallNan", R"({"budget": {"ram_gib": nan}})", "", "line 1, column 24: JSON has no NaN"},
    {"Infinity", R"({"budget": {"ram_gib": Infinity}})", "", "line 1, column 24: JSON has no NaN"},
    {"MinusInfinity", R"({"budget": {"ram_gib": -Infinity}})", "",
     "line 1, column 24: JSON has no NaN"},
    {"PythonTrue", R"({"transparent": True})", "",
     "column 17: write true, false or null, in small"},
    {"PythonNone", R"({"max_cached_models": None})", "", "write true, false or null, in small"},
    {"Yes", R"({"transparent": yes})", "", "write true, false or null"},
    {"NoQuotes", R"({"unload": {"policy": lru}})", "",
     "column 23: a text without quotes; write it in double quotes"},
    {"KeyWithoutQuotes", R"({transparent: true})", "", "column 2: a text without quotes"},
    {"SingleQuotes", R"({'transparent': true})", "", "column 2: JSON wants double quotes"},
    {"LineComment", "{\n  // mine\n  \"transparent\": true\n}", "",
     "line 2, column 3: JSON has no comments; remove it"},
    {"BlockComment", "{} /* mine */", "", "line 1, column 4: JSON has no comments"},
    {"HashComment", "{\"transparent\": true # mine\n}", "", "column 22: JSON has no comments"},
    {"NumberTooLarge", R"({"budget": {"ram_gib": 1e999}})", "",
     "column 24: this number is too large"},
    {"LeadingZero", R"({"max_cached_models": 03})", "",
     "column 23: not a number as JSON writes it"},
    {"LeadingPlus", R"({"max_cached_models": +3})", "", "column 23: not a number"},
    {"NoDigitBeforeThePoint", R"({"max_cached_models": .5})", "", "column 23: not a number"},
    {"NoDigitBehindThePoint", R"({"max_cached_models": 5.})", "", "column 23: not a number"},
    {"HexNumber", R"({"max_cached_models": 0x10})", "", "column 23: not a number"},
    {"UnderscoreInNumber", R"({"max_cached_models": 1_000})", "", "column 23: not a number"},
};
INSTANTIATE_TEST_SUITE_P(Word, SyntaxTest, testing::ValuesIn(kWords), NameOf);

const BadConfig kOrder[] = {
    {"CommaBeforeBrace", "{\n  \"transparent\": true,\n}", "",
     "line 3, column 1: there is a comma before this closing bracket; remove the comma"},
    {"CommaBeforeBracket", R"({"prewarm": {"models": ["a",]}})", "", "column 29: there is a comma"},
    {"CommaMissing", "{\n  \"transparent\": true\n  \"log\": {}\n}", "",
     "line 3, column 3: a comma or a closing bracket is missing before this"},
    {"CommaMissingAfterQuotes", R"({"a": "\"" "b\\": 1})", "", "column 12: a comma or a closing"},
    {"CommaMissingInList", R"({"prewarm": {"models": ["a" "b"]}})", "", "column 29: a comma or a"},
    {"ColonMissing", R"({"transparent" true})", "", "column 16: a colon is missing before this"},
    {"KeyMissing", R"({: true})", "", "column 2: a key in double quotes must stand here"},
    {"KeyIsANumber", R"({1: true})", "", "column 2: a key in double quotes must stand here"},
    {"ValueMissing", R"({"transparent": })", "", "column 17: a value is missing before this"},
    {"BraceNotClosed", "{\"log\": {\"level\": \"info\"}", "", "the text ends too early"},
    {"CutInAWord", R"({"transparent": tru)", "", "the text ends too early"},
    {"QuotesNotClosed", R"({"unload": {"policy": "lru}})", "", "these quotes are never closed"},
    {"LineEndInQuotes", "{\"unload\": {\"policy\": \"lru\n\"}}", "",
     "a line end or tab inside quotes"},
    {"WindowsPath", R"({"prewarm": {"workflows": ["C:\work\a.json"]}})", "",
     "a backslash in quotes must be doubled"},
    {"HalfASurrogatePair", R"({"unload": {"policy": "\ud800"}})", "", "half of a \\u pair"},
    {"SomethingAfterTheEnd", "{}\n{}", "",
     "line 2, column 1: something follows after the end; remove it"},
    {"BraceTooMany", "{}}", "", "line 1, column 3: something follows after the end"},
};
INSTANTIATE_TEST_SUITE_P(Order, SyntaxTest, testing::ValuesIn(kOrder), NameOf);

TEST(SyntaxPlaceTest, ColumnsAreLettersNotBytes) {
  const ConfigResult result = ParseConfig("{\"模型\": NaN}");
  ASSERT_EQ(result.faults.size(), 1U);
  EXPECT_NE(result.faults[0].message.find("line 1, column 8:"), std::string::npos)
      << result.faults[0].message;
}

// Would hang, were the backslashes counted anew for each of them.
TEST(SyntaxPlaceTest, AConfigFullOfBackslashesIsReadOnce) {
  const std::string slashes((std::size_t{1} << 20) - 64, '\\');  // 1 MiB is the limit
  const ConfigResult result = ParseConfig("{\"a\": 1 \"" + slashes + "\"}");
  ASSERT_EQ(result.faults.size(), 1U);
  EXPECT_NE(result.faults[0].message.find("line 1, column 9:"), std::string::npos)
      << result.faults[0].message;
}

TEST(SyntaxPlaceTest, TheValueIsTheRestOfTheLineInQuotes) {
  const ConfigResult result = ParseConfig("{\"a\": NaN,\n \"b\": 1}");
  ASSERT_EQ(result.faults.size(), 1U);
  EXPECT_EQ(result.faults[0].value, "\"NaN,\"");
}

TEST(SyntaxPlaceTest, AnyPieceOfAGoodTextIsFaultsAndNoCrash) {
  const std::string whole = ConfigToJson(Config());
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_FALSE(ParseConfig(whole.substr(0, length)).faults.empty()) << length;
  }
}

TEST(SyntaxPlaceTest, AnyByteInThePlaceOfAnotherIsReadOrNamed) {
  const std::string whole = R"({"budget": {"ram_gib": -1.5e3}, "log": {"level": "\n\u0041"}})";
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string text = whole;
      text[at] = static_cast<char>(byte);
      for (const ConfigFault& fault : ParseConfig(text).faults) EXPECT_FALSE(fault.message.empty());
    }
  }
}

}  // namespace
}  // namespace hearth
