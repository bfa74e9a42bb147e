// Any text as hearth.json. It is never more than faults, and what it makes of a text it can read
// again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "config/config_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const hearth::ConfigResult result = hearth::ParseConfig(text);
  if (result.faults.empty()) {
    const std::string written = hearth::ConfigToJson(result.config);
    const hearth::ConfigResult again = hearth::ParseConfig(written);
    if (!again.faults.empty() || hearth::ConfigToJson(again.config) != written) std::abort();
  }
  return 0;
}
