#ifndef HEARTH_CHECKPOINT_FAULT_H_
#define HEARTH_CHECKPOINT_FAULT_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace hearth {

// One thing that is wrong with a file.
struct Fault {
  std::uint64_t offset = 0;  // in the file
  std::string what;          // "the dtype is \"f32\""
  std::string expected;      // what would be right, or what to do; empty: `what` says it all
  std::string tensor = {};   // raw name; empty: the fault is in none
};

// A number of bytes and what they do: CountedBytes(1, "is", "are") is "1 byte is".
std::string CountedBytes(std::uint64_t count, std::string_view one, std::string_view many);

// Throws CheckpointCorrupt with one sentence for people. The tensor's name is made printable here.
[[noreturn]] void Refuse(const std::string& file_name, const Fault& fault);

}  // namespace hearth

#endif  // HEARTH_CHECKPOINT_FAULT_H_
