#include "checkpoint/fault.h"

#include "base/error.h"
#include "checkpoint/printable.h"

namespace hearth {

std::string CountedBytes(std::uint64_t count, std::string_view one, std::string_view many) {
  return std::to_string(count) + (count == 1 ? " byte " : " bytes ") +
         std::string(count == 1 ? one : many);
}

void Refuse(const std::string& file_name, const Fault& fault) {
  const std::string tensor = Printable(fault.tensor);
  std::string message = file_name + ": " + fault.what;
  if (fault.offset > 0 || !tensor.empty()) {
    message += " (at byte " + std::to_string(fault.offset);
    message += tensor.empty() ? ")" : ", in tensor \"" + tensor + "\")";
  }
  if (!fault.expected.empty()) message += "; expected " + fault.expected;
  throw CheckpointCorrupt(file_name, fault.offset, message + ".", tensor, fault.expected);
}

}  // namespace hearth
