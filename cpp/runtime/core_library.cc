#include "runtime/global_runtime.h"

// libhearth_core.so is the runtime room as a shared library. It has no code of its own; the linker
// takes every object of the rooms (see CMakeLists.txt), because nothing in here refers to them.
