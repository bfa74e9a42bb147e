// Of a driver that fails once in what undoes, too: giving back, unregistering, unmapping.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fakes/fake_driver.h"
#include "fakes/leaks_on_purpose.h"
#include "fakes/load_fixture.h"

namespace hearth {
namespace {

class UndoFaultsTest : public LoadFixture {
 protected:
  UndoFaultsTest() : LoadFixture(&FakeDriver::Load) {}
  ~UndoFaultsTest() override { tier->Shutdown(true); }

  // The driver knows memory by its address: of what comes to lie there next it would copy the bytes
  // that lay there before.
  void AfterFault(std::uint64_t n) override {
    for (const auto& [address, size] : driver.registered()) {
      std::vector<unsigned char> pages(RoundUpToPage(size) / PageSize());
      const void* const from = reinterpret_cast<const void*>(address);
      ASSERT_EQ(system->InMemory(from, size, pages.data()), 0)
          << "after call " << n << " failed memory was unmapped that the driver still has";
    }
  }

  FakeDriver driver;
};

TEST_F(UndoFaultsTest, MemoryThatTheDriverDoesNotLetGoOfKeepsItsAddress) {
  const LeaksOnPurpose leaks;
  driver.LetUndoingFail();
  for (const bool is_registered : {false, true}) {
    FailEachCall(
        is_registered, [this](std::uint64_t n) { driver.FailAt(n); },
        [this] { return driver.has_failed(); });
  }
  EXPECT_EQ(driver.misuses(), std::vector<std::string>());
}

}  // namespace
}  // namespace hearth
