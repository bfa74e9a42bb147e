#include "config/strict_json.h"

#include <cstddef>
#include <string>
#include <utility>

#include "config/syntax_fault.h"

namespace hearth {
namespace {

using nlohmann::json;

constexpr std::size_t kLargestText = std::size_t{1} << 20;
constexpr std::size_t kDeepest = 32;

// Builds the value and the JSON pointer of where it stands, and notices keys that come twice.
class Builder final : public json::json_sax_t {
 public:
  explicit Builder(std::vector<ConfigFault>& faults) : faults_(faults) {}
  json TakeResult() { return std::move(root_); }

  bool null() override { return Put(nullptr); }
  bool boolean(bool value) override { return Put(value); }
  bool number_integer(number_integer_t value) override { return Put(value); }
  bool number_unsigned(number_unsigned_t value) override { return Put(value); }
  bool number_float(number_float_t value, const string_t&) override { return Put(value); }
  bool string(string_t& value) override { return Put(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return Open(json::object()); }
  bool end_object() override { return Close(); }
  bool start_array(std::size_t) override { return Open(json::array()); }
  bool end_array() override { return Close(); }

  bool key(string_t& name) override {
    Level& level = levels_.back();
    level.key = name;
    if (level.value.contains(name) && faults_.size() < kMostFaults) {
      faults_.push_back(
          {Pointer(), Shortened(name), "this key is given twice; keep one of them", ""});
    }
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    constexpr int kOutOfRange = 406;
    error_.position = position;
    error_.number_too_large = error.id == kOutOfRange;
    // What comes after is the user's own text, in which anything may stand.
    const std::string_view what = error.what();
    error_.reason = what.substr(0, what.find("; last read"));
    return false;
  }

  const SyntaxError& error() const { return error_; }
  bool too_deep() const { return too_deep_; }

 private:
  struct Level {
    json value;
    std::string key;
  };

  std::string Pointer() const {
    json::json_pointer pointer;
    for (const Level& level : levels_) {
      if (level.value.is_array()) {
        pointer /= level.value.size();
      } else {
        pointer /= level.key;
      }
    }
    return pointer.to_string();
  }

  template <typename Value>
  bool Put(Value&& value) {
    if (levels_.empty()) {
      root_ = json(std::forward<Value>(value));
    } else if (Level& level = levels_.back(); level.value.is_array()) {
      level.value.push_back(json(std::forward<Value>(value)));
    } else {
      level.value[level.key] = json(std::forward<Value>(value));
    }
    return true;
  }

  bool Open(json empty) {
    too_deep_ = levels_.size() >= kDeepest;
    if (too_deep_) return false;
    levels_.push_back({std::move(empty), {}});
    return true;
  }

  bool Close() {
    json done = std::move(levels_.back().value);
    levels_.pop_back();
    return Put(std::move(done));
  }

  std::vector<ConfigFault>& faults_;
  std::vector<Level> levels_;
  json root_;
  SyntaxError error_;
  bool too_deep_ = false;
};

// Faults that the parser would pass over, or would name badly.
const char* ObviousFault(std::string_view text) {
  if (text.size() > kLargestText) {
    return "the file is larger than 1 MiB; a config is a small JSON object";
  }
  if (text.starts_with("\xEF\xBB\xBF")) {
    return "the file begins with a byte-order mark; save it as UTF-8 without one";
  }
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF")) {
    return "the file is UTF-16; save it as UTF-8";
  }
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) {
    return "the file is empty; write {} for the defaults";
  }
  // The parser takes a zero for the end of the text, and whatever follows would be read by nobody.
  if (text.find('\0') != std::string_view::npos) {
    return "the file holds a zero byte; save it as UTF-8 text";
  }
  return nullptr;
}

}  // namespace

std::string Shortened(const json& value) {
  constexpr std::size_t kLongest = 60;
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
  return text;
}

std::optional<json> ParseStrictJson(std::string_view text, std::vector<ConfigFault>& faults) {
  if (const char* fault = ObviousFault(text)) {
    faults.push_back({"", "", fault, ""});
    return std::nullopt;
  }
  Builder builder(faults);
  if (json::sax_parse(text.begin(), text.end(), &builder)) return builder.TakeResult();
  if (builder.too_deep()) {
    faults.push_back({"", "", "brackets are nested more than 32 deep", ""});
  } else {
    faults.push_back(SyntaxFault(text, builder.error()));
  }
  return std::nullopt;
}

}  // namespace hearth
