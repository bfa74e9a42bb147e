#ifndef HEARTH_CHECKPOINT_DISGUISE_H_
#define HEARTH_CHECKPOINT_DISGUISE_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace hearth {

// How much of a file's start NameDisguise() wants to see.
inline constexpr std::size_t kDisguisePrefix = 512;

// What a file that is not safetensors really is, and what to do about it: "is a Git LFS pointer,
// …". `prefix` is the start of the file; nullopt when it looks like nothing known. Ask only after
// the header was found wrong: the first bytes of a good file are its header's length and may look
// like any of these.
std::optional<std::string> NameDisguise(std::string_view prefix);

}  // namespace hearth

#endif  // HEARTH_CHECKPOINT_DISGUISE_H_
