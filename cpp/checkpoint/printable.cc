#include "checkpoint/printable.h"

#include <cstddef>

namespace hearth {
namespace {

constexpr std::size_t kLongest = 160;

// Length of the well-formed UTF-8 sequence that starts at `at`, or 0. Overlong forms and
// surrogates count as malformed; so do the C1 controls, which terminals obey.
std::size_t SequenceLength(std::string_view bytes, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned lead = byte(at);
  if (lead < 0x80) return lead >= 0x20 && lead != 0x7f ? 1 : 0;
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || at + length > bytes.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return 0;
  }
  const unsigned second = byte(at + 1);
  const bool malformed = (lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) ||
                         (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f) ||
                         (lead == 0xc2 && second < 0xa0);
  return malformed ? 0 : length;
}

}  // namespace

std::string Printable(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (std::size_t at = 0; at < bytes.size();) {
    if (text.size() >= kLongest) return text + "…";
    if (const std::size_t length = SequenceLength(bytes, at); length > 0) {
      text.append(bytes.substr(at, length));
      at += length;
    } else {
      const auto byte = static_cast<unsigned char>(bytes[at++]);
      text += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return text;
}

}  // namespace hearth
