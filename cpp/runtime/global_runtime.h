#ifndef HEARTH_RUNTIME_GLOBAL_RUNTIME_H_
#define HEARTH_RUNTIME_GLOBAL_RUNTIME_H_

#include "runtime/runtime.h"

namespace hearth {

// The one runtime of this process, made on first use and never destroyed: at exit the interpreter,
// CUDA and other threads go in an order nobody controls. Python's atexit calls Shutdown() instead,
// and a process that is killed needs no cleanup. A forked child has none of the threads that the
// runtime of its parent waits for, and perhaps locks that nobody will open: it gets one of its own.
Runtime& GlobalRuntime();

}  // namespace hearth

#endif  // HEARTH_RUNTIME_GLOBAL_RUNTIME_H_
