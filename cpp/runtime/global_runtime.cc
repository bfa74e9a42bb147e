#include "runtime/global_runtime.h"

#include <pthread.h>

#include "base/mutex.h"

namespace hearth {
namespace {

struct Slot {
  Mutex mutex;
  Runtime* runtime HEARTH_GUARDED_BY(mutex) = nullptr;  // leaked on purpose, see the header
};

Slot& TheSlot();

void HoldForFork() HEARTH_NO_THREAD_SAFETY_ANALYSIS { TheSlot().mutex.Lock(); }
void ReleaseInParent() HEARTH_NO_THREAD_SAFETY_ANALYSIS { TheSlot().mutex.Unlock(); }
void ForgetInChild() HEARTH_NO_THREAD_SAFETY_ANALYSIS {
  TheSlot().runtime = nullptr;
  TheSlot().mutex.Unlock();
}

Slot* MakeSlot() {
  ::pthread_atfork(&HoldForFork, &ReleaseInParent, &ForgetInChild);
  return new Slot();
}

Slot& TheSlot() {
  static Slot* const slot = MakeSlot();
  return *slot;
}

}  // namespace

Runtime& GlobalRuntime() {
  Slot& slot = TheSlot();
  MutexLock lock(slot.mutex);
  if (slot.runtime == nullptr) slot.runtime = new Runtime();
  return *slot.runtime;
}

}  // namespace hearth
