#include "checkpoint/byte_source.h"

#include <cerrno>
#include <system_error>

#include "checkpoint/fault.h"

namespace hearth {

void ReadExactly(const ByteSource& source, std::uint64_t offset, char* into, std::size_t size) {
  std::size_t done = 0;
  while (done < size) {
    const ReadOutcome outcome = source.ReadAt(offset + done, into + done, size - done);
    if (outcome.error == EINTR) continue;
    if (outcome.error != 0) {
      Refuse(source.name(), {.offset = offset + done,
                             .what = "the file cannot be read (" +
                                     std::generic_category().message(outcome.error) + ")",
                             .expected = "a readable disk; check it, then copy the file again"});
    }
    if (outcome.bytes == 0) {
      Refuse(source.name(),
             {.offset = offset + done,
              .what = "the file ended here although it was longer when it was opened",
              .expected = "a file that nobody changes; try again when the copy is done"});
    }
    done += outcome.bytes;
  }
}

}  // namespace hearth
