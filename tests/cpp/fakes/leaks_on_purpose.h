#ifndef HEARTH_TESTS_FAKES_LEAKS_ON_PURPOSE_H_
#define HEARTH_TESTS_FAKES_LEAKS_ON_PURPOSE_H_

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

namespace hearth {

// While it lives, what is leaked is meant to be.
class LeaksOnPurpose {
 public:
  LeaksOnPurpose() = default;
  ~LeaksOnPurpose() {}
  LeaksOnPurpose(const LeaksOnPurpose&) = delete;
  LeaksOnPurpose& operator=(const LeaksOnPurpose&) = delete;

#if defined(__SANITIZE_ADDRESS__)
 private:
  __lsan::ScopedDisabler disabler_;
#endif
};

}  // namespace hearth

#endif  // HEARTH_TESTS_FAKES_LEAKS_ON_PURPOSE_H_
