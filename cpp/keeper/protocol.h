#ifndef HEARTH_KEEPER_PROTOCOL_H_
#define HEARTH_KEEPER_PROTOCOL_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "keeper/kept_files.h"

namespace hearth {

// A request or an answer is one line of JSON. A longer line than this ends the connection.
inline constexpr std::size_t kMostLineBytes = std::size_t{1} << 20;

// {"op": "declare", "files": [{"path", "device", "inode", "size", "mtime_ns", "registered"}…],
//  "limits": {"max_bytes": n|null, "keep_free_bytes": n}}    all that the sender holds from now on
// {"op": "status"}
// {"op": "stop"}
// The answer is {"ok": true, "status": {…}, "refused": [{"name", "reason"}…]} or
// {"ok": false, "error": "…"}. Members that are not named here are passed over: the two sides may
// be of different versions.
struct Reply {
  std::string line;  // with its line end
  bool stops = false;
};

// Does what one line asks for. Throws nothing for any line: what is wrong with it is the answer.
Reply AnswerLine(std::string_view line, ClientId client, KeptFiles& files);

// {"ok": false, "error": …}, with its line end.
std::string ErrorLine(const std::string& error);

}  // namespace hearth

#endif  // HEARTH_KEEPER_PROTOCOL_H_
