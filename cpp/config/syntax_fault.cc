#include "config/syntax_fault.h"

#include <algorithm>
#include <array>
#include <span>

#include "config/strict_json.h"

namespace hearth {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";

std::string LineAndColumn(std::string_view text, std::size_t position) {
  std::size_t line = 1;
  std::size_t column = 1;
  for (const char letter : text.substr(0, position)) {
    const bool continues = (static_cast<unsigned char>(letter) & 0xC0U) == 0x80U;
    if (letter == '\n') {
      ++line;
      column = 1;
    } else if (!continues) {
      ++column;
    }
  }
  return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

// The letters that begin at `start`, small, without a sign: "-Infinity" is "infinity".
std::string WordAt(std::string_view text, std::size_t start) {
  constexpr std::size_t kLongest = 10;
  while (start < text.size() && (text[start] == '-' || text[start] == '+')) ++start;
  std::string word;
  for (const char letter : text.substr(start, kLongest)) {
    const char small = (letter >= 'A' && letter <= 'Z') ? static_cast<char>(letter + 32) : letter;
    if (small < 'a' || small > 'z') break;
    word += small;
  }
  return word;
}

bool IsOneOf(std::string_view word, std::span<const std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// The byte is looked at first: counting the backslashes before every byte of a text of backslashes
// would take minutes.
bool EndsQuotes(std::string_view text, std::size_t at) {
  if (text[at] != '"') return false;
  std::size_t slashes = 0;
  while (slashes < at && text[at - slashes - 1] == '\\') ++slashes;
  return slashes % 2 == 0;
}

// The parser tells the last letter it read; people look for the first one of the word.
std::size_t TokenStart(std::string_view text, const SyntaxError& error) {
  constexpr std::string_view kWordLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-._";
  std::size_t start = std::max<std::size_t>(error.position, 1) - 1;
  if (start >= text.size()) return text.size();
  if (error.reason.find("invalid string") != std::string::npos) return start;
  if (text[start] == '"') {
    while (start > 0 && !EndsQuotes(text, --start)) {
    }
    return start;
  }
  const auto is_word = [&](std::size_t at) {
    return kWordLetters.find(text[at]) != std::string_view::npos;
  };
  const bool is_behind_number = error.reason.find("invalid number") != std::string::npos;
  if (is_behind_number && start > 0 && !is_word(start)) --start;
  while (start > 0 && is_word(start) && is_word(start - 1)) --start;
  return start;
}

// What the parser says about the inside of a text in quotes, and how to mend it.
const char* StringFault(std::string_view reason) {
  const auto says = [reason](std::string_view words) {
    return reason.find(words) != std::string_view::npos;
  };
  if (says("ill-formed UTF-8")) return "not UTF-8; save the file as UTF-8";
  if (says("surrogate")) return "half of a \\u pair; write the letter itself";
  if (says("control character")) {
    return "a line end or tab inside quotes; close the quotes before it";
  }
  if (says("missing closing quote")) return "these quotes are never closed";
  if (says("forbidden character after backslash")) {
    return "a backslash in quotes must be doubled: \\\\";
  }
  return nullptr;
}

// What stands where the parser stopped.
const char* TokenFault(std::string_view text, std::size_t start) {
  constexpr std::array<std::string_view, 3> kNoNumbers = {"nan", "inf", "infinity"};
  constexpr std::array<std::string_view, 9> kNoWords = {"true", "false", "none", "null",     "yes",
                                                        "no",   "on",    "off",  "undefined"};
  const std::string word = WordAt(text, start);
  if (IsOneOf(word, kNoNumbers)) {
    return "JSON has no NaN and no Infinity; write a number, or null where it is allowed";
  }
  const char letter = text[start];
  if (letter == '/' || letter == '#') return "JSON has no comments; remove it";
  if (letter == '\'') return "JSON wants double quotes: \"";
  const bool is_digit = letter >= '0' && letter <= '9';
  if (is_digit || letter == '+' || letter == '-' || letter == '.') {
    return "not a number as JSON writes it: no +, no leading zero, a digit on both sides of the "
           "point";
  }
  if (IsOneOf(word, kNoWords)) return "write true, false or null, in small letters";
  if (!word.empty()) return "a text without quotes; write it in double quotes";
  return nullptr;
}

// What stands in the wrong order.
const char* OrderFault(std::string_view text, std::size_t start, std::string_view reason) {
  const auto says = [reason](std::string_view words) {
    return reason.find(words) != std::string_view::npos;
  };
  const std::size_t last = text.substr(0, start).find_last_not_of(kBlanks);
  const char before = last == std::string_view::npos ? ' ' : text[last];
  const char letter = text[start];
  if (before == ',' && (letter == '}' || letter == ']')) {
    return "there is a comma before this closing bracket; remove the comma";
  }
  if (says("expected end of input")) return "something follows after the end; remove it";
  if (says("while parsing object separator")) return "a colon is missing before this";
  if (says("while parsing object key")) return "a key in double quotes must stand here";
  if (says("; expected '}'") || says("; expected ']'")) {
    return "a comma or a closing bracket is missing before this";
  }
  return "a value is missing before this";
}

const char* Message(std::string_view text, std::size_t start, const SyntaxError& error) {
  if (error.number_too_large) return "this number is too large to be one";
  if (const char* fault = StringFault(error.reason)) return fault;
  if (start >= text.size()) return "the text ends too early; a closing bracket is missing";
  // The parser reads 01 as the number 0 with another one behind it.
  const bool leading_zero = text[start] == '0';
  const bool is_token = leading_zero || error.reason.find("invalid ") != std::string::npos;
  const char* fault = is_token ? TokenFault(text, start) : OrderFault(text, start, error.reason);
  return fault ? fault : "this is not JSON";
}

}  // namespace

ConfigFault SyntaxFault(std::string_view text, const SyntaxError& error) {
  const std::size_t start = TokenStart(text, error);
  const std::string_view rest = text.substr(start);
  return {"", Shortened(std::string(rest.substr(0, rest.find('\n')))),
          LineAndColumn(text, start) + ": " + Message(text, start, error), ""};
}

}  // namespace hearth
