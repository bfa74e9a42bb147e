#include "checkpoint/strict_json.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "checkpoint/fault.h"
#include "checkpoint/printable.h"

namespace hearth {
namespace {

using nlohmann::json;

// Tells how far the parser has come; nlohmann's events carry no position.
class TrackedByte {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  TrackedByte(const char* at, const char** reached) : at_(at), reached_(reached) {}
  reference operator*() const { return *at_; }
  TrackedByte& operator++() {
    *reached_ = ++at_;
    return *this;
  }
  TrackedByte operator++(int) {
    TrackedByte before = *this;
    ++*this;
    return before;
  }
  bool operator==(const TrackedByte& other) const { return at_ == other.at_; }
  bool operator!=(const TrackedByte& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  const char** reached_;
};

struct KeyPlace {
  std::string key;
  std::uint64_t offset;
};

// nlohmann's "[json.exception.parse_error.101] parse error at line 1, column 5: syntax error …"
// without what our own message says better.
std::string_view ReasonOf(const json::exception& error) {
  std::string_view reason = error.what();
  if (const std::size_t id = reason.find("] "); id != std::string_view::npos) {
    reason.remove_prefix(id + 2);
  }
  const std::size_t place = reason.find(": ");
  if (reason.substr(0, 11) == "parse error" && place != std::string_view::npos) {
    reason.remove_prefix(place + 2);
  }
  return reason;
}

class SaxBridge {
 public:
  SaxBridge(const JsonText& json, JsonEvents& events)
      : json_(json), events_(events), reached_(json.text.data()) {}

  const char** reached() { return &reached_; }

  bool null() { return Scalar({}, Back(4)); }
  bool boolean(bool value) {
    return Scalar({.kind = JsonScalar::Kind::kBool, .text = {}}, Back(value ? 4 : 5));
  }
  bool number_integer(json::number_integer_t) { return OtherNumber(); }
  bool number_unsigned(json::number_unsigned_t value) {
    return Scalar({.kind = JsonScalar::Kind::kNatural, .natural = value, .text = {}},
                  NumberStart());
  }
  bool number_float(json::number_float_t, const json::string_t&) { return OtherNumber(); }
  bool string(json::string_t& value) {
    return Scalar({.kind = JsonScalar::Kind::kText, .text = value}, StringStart());
  }
  bool binary(json::binary_t&) { return false; }
  bool start_object(std::size_t) { return Open(/*is_list=*/false); }
  bool start_array(std::size_t) { return Open(/*is_list=*/true); }
  bool end_object() { return Close(); }
  bool end_array() { return Close(); }
  bool key(json::string_t& value) {
    const char* start = StringStart();
    keys_.back().push_back({value, OffsetOf(start)});
    events_.OnKey(value, OffsetOf(start));
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const json::exception& error) {
    Refuse(json_.file_name, {.offset = OffsetOf(Back(1)),
                             .what = "the JSON is broken: " + Printable(ReasonOf(error)),
                             .expected = "valid JSON; download or copy the file again"});
  }

 private:
  std::uint64_t OffsetOf(const char* at) const {
    return json_.offset + static_cast<std::uint64_t>(at - json_.text.data());
  }
  const char* Back(std::ptrdiff_t bytes) const {
    return reached_ - std::min<std::ptrdiff_t>(bytes, reached_ - json_.text.data());
  }
  // The parser has read one byte past a number, unless the text ends there.
  const char* NumberStart() const {
    const char* start = Back(1);
    while (start > json_.text.data() &&
           std::string_view("0123456789+-.eE").find(start[-1]) != std::string_view::npos) {
      --start;
    }
    return start;
  }
  // The opening quote of the string whose closing quote was read last: the nearest quote before it
  // that an even number of backslashes precedes.
  const char* StringStart() const {
    const char* const begin = json_.text.data();
    const char* start = Back(2);
    for (; start > begin; --start) {
      if (*start != '"') continue;
      const char* escape = start;
      while (escape > begin && escape[-1] == '\\') --escape;
      if ((start - escape) % 2 == 0) break;
    }
    return start;
  }
  bool OtherNumber() {
    const char* start = NumberStart();
    const char* end = start;
    while (end < reached_ && *end != ',' && *end != ']' && *end != '}' && *end > ' ') ++end;
    return Scalar({.kind = JsonScalar::Kind::kOtherNumber,
                   .text = {start, static_cast<std::size_t>(end - start)}},
                  start);
  }
  bool Scalar(const JsonScalar& value, const char* start) {
    if (keys_.empty()) RefuseRoot(Describe(value));
    events_.OnScalar(value, OffsetOf(start));
    return true;
  }
  bool Open(bool is_list) {
    if (keys_.empty() && is_list) RefuseRoot("a list");
    if (keys_.size() == kMaxJsonDepth) {
      Refuse(json_.file_name, {.offset = OffsetOf(Back(1)),
                               .what = "the JSON is nested too deeply",
                               .expected = "at most " + std::to_string(kMaxJsonDepth) + " levels"});
    }
    keys_.emplace_back();
    events_.OnOpen(is_list, OffsetOf(Back(1)));
    return true;
  }
  bool Close() {
    RefuseDuplicates(keys_.back());
    keys_.pop_back();
    events_.OnClose();
    return true;
  }
  [[noreturn]] void RefuseRoot(const std::string& what) const {
    Refuse(json_.file_name, {.offset = json_.offset,
                             .what = "the JSON is " + what,
                             .expected = "an object, starting with {"});
  }
  // Sorted when the object ends, not hashed on the way: a million keys made to collide would hang.
  void RefuseDuplicates(std::vector<KeyPlace>& keys) const {
    const auto less = [](const KeyPlace& a, const KeyPlace& b) {
      return a.key != b.key ? a.key < b.key : a.offset < b.offset;
    };
    std::sort(keys.begin(), keys.end(), less);
    const auto same = [](const KeyPlace& a, const KeyPlace& b) { return a.key == b.key; };
    const auto twice = std::adjacent_find(keys.begin(), keys.end(), same);
    if (twice == keys.end()) return;
    Refuse(json_.file_name,
           {.offset = std::next(twice)->offset,
            .what = "the key \"" + Printable(twice->key) +
                    "\" occurs a second time (first at byte " + std::to_string(twice->offset) + ")",
            .expected = "each key once"});
  }

  const JsonText& json_;
  JsonEvents& events_;
  const char* reached_;
  std::vector<std::vector<KeyPlace>> keys_;  // one list per open object or list
};

// What nlohmann would let pass: it skips a byte order mark and takes a NUL for the end.
void RefuseHiddenBytes(const JsonText& json) {
  const auto refuse = [&](std::size_t at, const char* what) {
    Refuse(json.file_name, {.offset = json.offset + at,
                            .what = what,
                            .expected = "plain UTF-8; have the file saved again"});
  };
  const std::string_view start = json.text.substr(0, 3);
  if (start == "\xef\xbb\xbf") refuse(0, "the JSON starts with a byte order mark");
  if (start.substr(0, 2) == "\xff\xfe" || start.substr(0, 2) == "\xfe\xff") {
    refuse(0, "the JSON is UTF-16");
  }
  const std::size_t nul = json.text.find('\0');
  if (nul != std::string_view::npos) refuse(nul, "there is a NUL byte in the JSON");
}

}  // namespace

std::string Describe(const JsonScalar& value) {
  switch (value.kind) {
    case JsonScalar::Kind::kNull:
      return "null";
    case JsonScalar::Kind::kBool:
      return "true or false";
    case JsonScalar::Kind::kNatural:
      return "the number " + std::to_string(value.natural);
    case JsonScalar::Kind::kOtherNumber:
      return "the number " + Printable(value.text);
    case JsonScalar::Kind::kText:
      return "the text \"" + Printable(value.text) + "\"";
  }
  return "unknown";
}

void ReadStrictJson(const JsonText& json, JsonEvents& events) {
  RefuseHiddenBytes(json);
  SaxBridge bridge(json, events);
  const char* const begin = json.text.data();
  nlohmann::json::sax_parse(TrackedByte(begin, bridge.reached()),
                            TrackedByte(begin + json.text.size(), bridge.reached()), &bridge,
                            nlohmann::json::input_format_t::json, /*strict=*/true);
}

}  // namespace hearth
