#ifndef HEARTH_CHECKPOINT_STRICT_JSON_H_
#define HEARTH_CHECKPOINT_STRICT_JSON_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hearth {

// A value that is neither list nor object.
struct JsonScalar {
  enum class Kind { kNull, kBool, kNatural, kOtherNumber, kText };
  Kind kind = Kind::kNull;
  std::uint64_t natural = 0;  // of kNatural: written as digits only, and fits 64 bits
  std::string_view text;      // of kText, unescaped; of kOtherNumber, as written
};

// For messages: `the text "f32"`, `null`, `the number -1`.
std::string Describe(const JsonScalar& value);

// Receives what is in a JSON text, in order, each with its offset in the file. May throw; the
// exception passes through.
class JsonEvents {
 public:
  virtual ~JsonEvents() = default;
  virtual void OnKey(std::string_view key, std::uint64_t offset) = 0;
  virtual void OnScalar(const JsonScalar& value, std::uint64_t offset) = 0;
  virtual void OnOpen(bool is_list, std::uint64_t offset) = 0;
  virtual void OnClose() = 0;
};

struct JsonText {
  const std::string& file_name;
  std::string_view text;
  std::uint64_t offset;  // of `text` in the file
};

// Objects and lists within each other beyond this are refused.
inline constexpr std::size_t kMaxJsonDepth = 64;

// Reads one JSON object and nothing after it but spaces. Stricter than JSON asks where leniency
// would let two readers see two different files: valid UTF-8 only, no lone surrogates, no byte
// order mark, no NUL, no comments, no key twice in one object, no number beyond double, bounded
// depth. Uses no recursion. Throws CheckpointCorrupt with the offset of the fault.
void ReadStrictJson(const JsonText& json, JsonEvents& events);

}  // namespace hearth

#endif  // HEARTH_CHECKPOINT_STRICT_JSON_H_
