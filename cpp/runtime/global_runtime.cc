#include "runtime/global_runtime.h"

namespace hearth {

Runtime& GlobalRuntime() {
  static Runtime* const runtime = new Runtime();  // leaked on purpose, see the header
  return *runtime;
}

}  // namespace hearth
