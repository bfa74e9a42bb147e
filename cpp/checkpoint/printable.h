#ifndef HEARTH_CHECKPOINT_PRINTABLE_H_
#define HEARTH_CHECKPOINT_PRINTABLE_H_

#include <string>
#include <string_view>

namespace hearth {

// Bytes from a file as part of a message: control bytes and invalid UTF-8 become \xNN and long
// texts are cut, so that a hostile name cannot forge a log line or drive a terminal.
std::string Printable(std::string_view bytes);

}  // namespace hearth

#endif  // HEARTH_CHECKPOINT_PRINTABLE_H_
