// The driver's answers, arenas, streams and registrations, over a driver that keeps account.
#include "device/cuda_device.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "base/error.h"
#include "device/cuda_host.h"
#include "device/cuda_registrar.h"
#include "fakes/fake_driver.h"
#include "fakes/leaks_on_purpose.h"

namespace hearth {
namespace {

constexpr std::size_t kPage = 4096;

class CudaDeviceTest : public testing::Test {
 protected:
  ~CudaDeviceTest() override {
    EXPECT_EQ(driver.Leftovers(), "");
    EXPECT_EQ(driver.misuses(), std::vector<std::string>());
  }
  std::shared_ptr<const CudaDevice> Device(int index = 0) {
    return std::make_shared<const CudaDevice>(FakeDriver::Driver(), index);
  }
  FakeDriver driver;
};

TEST_F(CudaDeviceTest, WhatIsCopiedThereAndBackIsTheSame) {
  const auto device = Device();
  const DeviceArena arena(device, 10'000);
  CopyStream stream(device);
  std::vector<char> there(10'000, 'x');
  std::vector<char> back(10'000);
  stream.CopyToDevice(arena.address(), there.data(), there.size());
  stream.CopyToHost(back.data(), arena.address(), back.size());
  stream.Wait();
  EXPECT_EQ(there, back);
}

TEST_F(CudaDeviceTest, AnArenaThatDoesNotFitIsOutOfMemoryAndLeavesNothing) {
  const auto device = Device();
  for (const char* call : {"cuMemAddressReserve", "cuMemCreate", "cuMemMap", "cuMemSetAccess"}) {
    driver.Refuse(call, kCuOutOfMemory);
    try {
      const DeviceArena arena(device, 10'000);
      ADD_FAILURE() << call << " was not missed";
    } catch (const DeviceOutOfMemory& error) {
      EXPECT_NE(std::string(error.what()).find(call), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find("on device 0"), std::string::npos) << error.what();
    }
    EXPECT_EQ(driver.Leftovers(), "") << call;
    driver.Refuse(call, kCuSuccess);
  }
}

TEST_F(CudaDeviceTest, ADeviceThatIsNotThereIsNamed) {
  EXPECT_THROW(Device(7), CudaError);
  CudaHost host(&FakeDriver::Load);
  EXPECT_THROW(host.Open(7), CudaError);
}

TEST_F(CudaDeviceTest, AContextThatCannotBeEnteredIsAnError) {
  const auto device = Device();
  driver.Refuse("cuCtxPushCurrent", 999);
  EXPECT_THROW(DeviceArena(device, 1), CudaError);
  EXPECT_THROW(CopyStream{device}, CudaError);
  EXPECT_FALSE(CudaRegistrar(device).Register(&driver, 1).registered);
}

TEST_F(CudaDeviceTest, EachDeviceIsOpenedOnce) {
  CudaHost host(&FakeDriver::Load);
  EXPECT_EQ(host.Open(1), host.Open(1));
  EXPECT_NE(host.Open(0), host.Open(1));
}

TEST_F(CudaDeviceTest, TheProbeKnowsTheDevicesAndTheFreeMemoryOfOpenOnes) {
  CudaHost host(&FakeDriver::Load);
  host.Open(1);
  const DeviceReport report = host.Probe();
  EXPECT_EQ(report.driver_version, 13000);
  EXPECT_EQ(report.reason, "");
  ASSERT_EQ(report.devices.size(), 2U);
  EXPECT_EQ(report.devices[0].name, "Fake GPU");
  EXPECT_FALSE(report.devices[0].free_bytes);
  EXPECT_EQ(report.devices[1].free_bytes, std::uint64_t{4} << 30);
}

TEST_F(CudaDeviceTest, WithoutADriverEverythingAnswersWhy) {
  CudaHost host([] { return DriverAnswer{nullptr, "no driver here"}; });
  EXPECT_EQ(host.Probe().reason, "no driver here");
  EXPECT_FALSE(host.CopiesSpanRanges());
  const RegisterOutcome outcome = host.Register(&host, 1);
  EXPECT_FALSE(outcome.registered);
  EXPECT_NE(outcome.refusal.find("no driver here"), std::string::npos);
  EXPECT_THROW(host.Open(0), CudaError);
}

TEST_F(CudaDeviceTest, RegisteringAndItsUndoingBalance) {
  CudaHost host(&FakeDriver::Load);
  alignas(kPage) static std::byte page[kPage];
  EXPECT_TRUE(host.Register(page, kPage).registered);
  EXPECT_FALSE(host.Register(page, kPage).registered) << "somebody has it already";
  EXPECT_TRUE(host.Unregister(page));
  EXPECT_TRUE(host.Register(page, kPage).registered);
  EXPECT_TRUE(host.Unregister(page));
}

TEST_F(CudaDeviceTest, ARefusedRegistrationNamesCallAndCode) {
  CudaRegistrar registrar(Device());
  driver.Refuse("cuMemHostRegister", 1);
  alignas(kPage) static std::byte page[kPage];
  const RegisterOutcome outcome = registrar.Register(page, kPage);
  EXPECT_FALSE(outcome.registered);
  EXPECT_NE(outcome.refusal.find("cuMemHostRegister"), std::string::npos) << outcome.refusal;
  EXPECT_NE(outcome.refusal.find("(1)"), std::string::npos) << outcome.refusal;
}

TEST_F(CudaDeviceTest, WhetherCopiesSpanRangesIsTriedOut) {
  EXPECT_TRUE(CudaRegistrar(Device()).CopiesSpanRanges());
  driver.set_copies_span(false);
  EXPECT_FALSE(CudaRegistrar(Device()).CopiesSpanRanges());
}

TEST_F(CudaDeviceTest, WhicheverCallOfTheTrialFailsNothingIsLeft) {
  const auto device = Device();
  for (std::uint64_t n = 0;; ++n) {
    ASSERT_LT(n, 100U);
    CudaRegistrar registrar(device);
    driver.FailAt(n);
    const bool answer = registrar.CopiesSpanRanges();
    if (!driver.has_failed()) break;
    static_cast<void>(answer);
    driver.FailAt(FakeDriver::kNever);
  }
}

TEST(CudaHostTest, AfterAbandoningNothingCallsTheDriver) {
  const LeaksOnPurpose leaks;
  auto driver = std::make_unique<FakeDriver>();
  CudaHost host(&FakeDriver::Load);
  auto arena = std::make_unique<DeviceArena>(host.Open(0), 10'000);
  auto stream = std::make_unique<CopyStream>(host.Open(0));
  alignas(kPage) static std::byte page[kPage];
  ASSERT_TRUE(host.Register(page, kPage).registered);
  host.Abandon();
  const std::uint64_t before = driver->calls();
  arena.reset();
  stream.reset();
  EXPECT_TRUE(host.Unregister(page));
  EXPECT_EQ(driver->calls(), before);
}

}  // namespace
}  // namespace hearth
