// Faults of the installed driver, on a GPU: every call that hearth makes of it fails once.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include "fakes/load_fixture.h"

namespace hearth {
namespace {

// The installed driver, whose nth call is not made and answers with an error. Thread-safe.
class FailingDriver {
 public:
  static constexpr std::uint64_t kNever = ~std::uint64_t{0};

  // As LoadCudaDriver() answers.
  static DriverAnswer Load() {
    DriverAnswer answer = LoadCudaDriver();
    if (answer.driver == nullptr) return answer;
    real_ = answer.driver->api();
    DriverApi api = real_;
    Wrap<&DriverApi::primary_context_retain, &DriverApi::context_push, &DriverApi::context_pop,
         &DriverApi::memory_get_info, &DriverApi::host_register, &DriverApi::host_unregister,
         &DriverApi::host_get_flags, &DriverApi::stream_create, &DriverApi::stream_destroy,
         &DriverApi::stream_synchronize, &DriverApi::copy_to_device, &DriverApi::copy_to_host,
         &DriverApi::granularity, &DriverApi::address_reserve, &DriverApi::address_free,
         &DriverApi::allocation_create, &DriverApi::allocation_release, &DriverApi::map,
         &DriverApi::unmap, &DriverApi::set_access>(api);
    return {std::make_shared<const CudaDriver>(api), ""};
  }
  static void FailAt(std::uint64_t n) {
    calls_ = 0;
    fail_at_ = n;
  }
  static bool has_failed() { return calls_ > fail_at_; }

 private:
  static constexpr CuResult kUnknownError = 999;

  template <auto kMember, typename... Args>
  static CuResult Call(Args... args) {
    if (calls_++ == fail_at_) return kUnknownError;
    return (real_.*kMember)(args...);
  }
  template <auto kMember, typename... Args>
  static void WrapOne(CuResult (*&function)(Args...)) {
    function = &Call<kMember, Args...>;
  }
  template <auto... kMembers>
  static void Wrap(DriverApi& api) {
    (WrapOne<kMembers>(api.*kMembers), ...);
  }

  static inline DriverApi real_;
  static inline std::atomic<std::uint64_t> calls_{0};
  static inline std::atomic<std::uint64_t> fail_at_{kNever};
};

class InstalledDriverTest : public LoadFixture {
 protected:
  InstalledDriverTest() : LoadFixture(&FailingDriver::Load) {}

  void SetUp() override {
    const DriverAnswer answer = LoadCudaDriver();
    if (answer.driver == nullptr || host->Probe().devices.empty()) {
      GTEST_SKIP() << "NOT RUN, needs a CUDA device (" << answer.reason << ")";
    }
  }
};

TEST_F(InstalledDriverTest, WhicheverCallFailsTheNextLoadHasTheFilesBytes) {
  for (const bool is_registered : {false, true}) {
    FailEachCall(is_registered, &FailingDriver::FailAt, &FailingDriver::has_failed);
  }
}

}  // namespace
}  // namespace hearth
