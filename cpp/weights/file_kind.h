#ifndef HEARTH_WEIGHTS_FILE_KIND_H_
#define HEARTH_WEIGHTS_FILE_KIND_H_

#include <string>

#include "weights/checkpoint_tensors.h"

namespace hearth {

// What a file looks like by the names of its tensors, with its article: "a LoRA". Empty when it
// looks like nothing known here. For messages; nothing may be decided by it.
std::string LooksLike(const CheckpointTensors& tensors);

}  // namespace hearth

#endif  // HEARTH_WEIGHTS_FILE_KIND_H_
