#ifndef HEARTH_TESTS_FAKES_FAILING_NEW_H_
#define HEARTH_TESTS_FAKES_FAILING_NEW_H_

#include <cstdint>

namespace hearth {

// As long as it lives, the nth allocation of any thread, counted from 0, fails once. One at a time;
// a program that links failing_new.cc has its operator new replaced.
class FailingNew {
 public:
  explicit FailingNew(std::uint64_t nth);
  ~FailingNew();
  FailingNew(const FailingNew&) = delete;
  FailingNew& operator=(const FailingNew&) = delete;

  bool has_failed() const;
};

// As long as it lives, allocations of its thread are not counted and do not fail: those of a fake
// whose original, written in C, never throws.
class SparedFromFailing {
 public:
  SparedFromFailing() { ++depth; }
  ~SparedFromFailing() { --depth; }
  SparedFromFailing(const SparedFromFailing&) = delete;
  SparedFromFailing& operator=(const SparedFromFailing&) = delete;

  static inline thread_local int depth = 0;
};

}  // namespace hearth

#endif  // HEARTH_TESTS_FAKES_FAILING_NEW_H_
