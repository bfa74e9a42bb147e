#ifndef HEARTH_TESTS_FAKES_FAKE_DRIVER_H_
#define HEARTH_TESTS_FAKES_FAKE_DRIVER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "device/cuda_driver.h"

namespace hearth {

// A CUDA driver whose devices' memory is the host's. Copies happen when their stream is waited for
// and not before, so that a buffer that is written to too early gives wrong bytes. It keeps account
// of all that is made and of every misuse, and fails its nth call. One at a time; thread-safe.
class FakeDriver {
 public:
  static constexpr std::uint64_t kNever = ~std::uint64_t{0};

  explicit FakeDriver(int devices = 2);
  ~FakeDriver();
  FakeDriver(const FakeDriver&) = delete;
  FakeDriver& operator=(const FakeDriver&) = delete;

  static std::shared_ptr<const CudaDriver> Driver();
  // As LoadCudaDriver() would answer.
  static DriverAnswer Load() { return {Driver(), ""}; }

  // Of the calls that may fail: those that undo something do not, unless they were let.
  void FailAt(std::uint64_t call, CuResult error = 999);
  void LetUndoingFail();
  // All calls to a function fail: "cuMemCreate".
  void Refuse(const std::string& function, CuResult error);
  void set_copies_span(bool span);
  bool has_failed() const;
  std::uint64_t calls() const;

  // What is there now: arenas' mappings, streams, registrations, pushed contexts.
  std::string Leftovers() const;
  // Ranges of host memory, by address.
  std::map<std::uintptr_t, std::size_t> registered() const;
  // Copies from host memory that is in no registered range.
  std::uint64_t pageable_copies() const;
  std::vector<std::string> misuses() const;

  class State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace hearth

#endif  // HEARTH_TESTS_FAKES_FAKE_DRIVER_H_
