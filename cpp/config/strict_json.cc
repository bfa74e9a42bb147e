#include "config/strict_json.h"

#include <cstddef>
#include <set>
#include <string>
#include <utility>

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
    if (!level.seen.insert(name).second) {
      faults_.push_back({Pointer(), name, "this key is given twice; keep one of them", ""});
    }
    return true;
  }

  bool parse_error(std::size_t position, const std::string& token,
                   const nlohmann::detail::exception&) override {
    error_position_ = position;
    error_token_ = token;
    return false;
  }

  std::size_t error_position() const { return error_position_; }
  const std::string& error_token() const { return error_token_; }
  bool too_deep() const { return too_deep_; }

 private:
  struct Level {
    json value;
    std::string key;
    std::set<std::string> seen;
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
    levels_.push_back({std::move(empty), {}, {}});
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
  std::size_t error_position_ = 0;
  std::string error_token_;
  bool too_deep_ = false;
};

std::string LineAndColumn(std::string_view text, std::size_t position) {
  const std::string_view before = text.substr(0, std::min(position, text.size()));
  std::size_t line = 1;
  std::size_t column = 1;
  for (const char letter : before.substr(0, before.empty() ? 0 : before.size() - 1)) {
    column = letter == '\n' ? 1 : column + 1;
    if (letter == '\n') ++line;
  }
  return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

// Faults that a parser would pass over, or would name badly.
const char* ObviousFault(std::string_view text) {
  if (text.size() > kLargestText) return "the file is larger than 1 MiB; a config is a small JSON object";
  if (text.starts_with("\xEF\xBB\xBF")) {
    return "the file begins with a byte-order mark; save it as UTF-8 without one";
  }
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF")) {
    return "the file is UTF-16; save it as UTF-8";
  }
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) {
    return "the file is empty; write {} for the defaults";
  }
  return nullptr;
}

std::string SyntaxMessage(std::string_view text, const Builder& builder) {
  const std::string where = LineAndColumn(text, builder.error_position());
  const std::string& token = builder.error_token();
  const std::size_t start = std::min(
      text.size(), builder.error_position() - std::min(builder.error_position(), std::size_t{1}));
  const std::string_view rest = text.substr(start);
  if (rest.starts_with("/") || rest.starts_with("#") || token.ends_with("/")) {
    return where + ": JSON has no comments; remove it";
  }
  for (const char* word : {"NaN", "nan", "Infinity", "inf", "-Infinity", "-I"}) {
    if (rest.starts_with(word) || token.ends_with(word)) {
      return where + ": JSON has no NaN and no Infinity; write a number, or null where it is allowed";
    }
  }
  return where + ": not valid JSON here; look for a missing or extra comma, quote or bracket";
}

}  // namespace

json ParseStrictJson(std::string_view text, std::vector<ConfigFault>& faults) {
  if (const char* fault = ObviousFault(text)) {
    faults.push_back({"", "", fault, ""});
    return nullptr;
  }
  Builder builder(faults);
  if (json::sax_parse(text.begin(), text.end(), &builder)) return builder.TakeResult();
  if (builder.too_deep()) {
    faults.push_back({"", "", "brackets are nested more than 32 deep", ""});
  } else {
    faults.push_back({"", "", SyntaxMessage(text, builder), ""});
  }
  return nullptr;
}

}  // namespace hearth
