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

}  // namespace hearth

#endif  // HEARTH_TESTS_FAKES_FAILING_NEW_H_
