#include "runtime/linux_host_memory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace hearth {
namespace {

constexpr std::uint64_t kMib = std::uint64_t{1} << 20;

// A folder that looks like / to the probe.
class LinuxHostMemoryTest : public ::testing::Test {
 protected:
  LinuxHostMemoryTest()
      : root_(std::filesystem::path(::testing::TempDir()) /
              ::testing::UnitTest::GetInstance()->current_test_info()->name()) {
    std::filesystem::remove_all(root_);
    Write("/proc/meminfo", "MemTotal:  8192 kB\nMemFree: 100 kB\nMemAvailable:  4096 kB\n");
  }
  ~LinuxHostMemoryTest() override { std::filesystem::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) {
    const std::filesystem::path full = root_.string() + path;
    std::filesystem::create_directories(full.parent_path());
    std::ofstream(full) << text;
  }
  HostMemory Read() const { return LinuxHostMemory(root_.string()).Read(); }

  std::filesystem::path root_;
};

TEST_F(LinuxHostMemoryTest, WithoutAControlGroupTheMachineIsTheLimit) {
  EXPECT_EQ(Read().total, 8 * kMib);
  EXPECT_EQ(Read().available, 4 * kMib);
}

TEST_F(LinuxHostMemoryTest, AControlGroupLowersBoth) {
  Write("/proc/self/cgroup", "0::/pod/box\n");
  Write("/sys/fs/cgroup/pod/box/memory.max", "3145728\n");
  Write("/sys/fs/cgroup/pod/box/memory.current", "2097152\n");
  EXPECT_EQ(Read().total, 3 * kMib);
  EXPECT_EQ(Read().available, 1 * kMib);
}

TEST_F(LinuxHostMemoryTest, ALimitOfAnAncestorBindsToo) {
  Write("/proc/self/cgroup", "0::/pod/box\n");
  Write("/sys/fs/cgroup/pod/box/memory.max", "max\n");
  Write("/sys/fs/cgroup/pod/box/memory.current", "2097152\n");
  Write("/sys/fs/cgroup/pod/memory.max", "2621440\n");
  Write("/sys/fs/cgroup/pod/memory.current", "2097152\n");
  EXPECT_EQ(Read().available, kMib / 2);
}

TEST_F(LinuxHostMemoryTest, PageCacheIsNotTaken) {
  Write("/proc/self/cgroup", "0::/\n");
  Write("/sys/fs/cgroup/memory.max", "3145728\n");
  Write("/sys/fs/cgroup/memory.current", "3145728\n");
  Write("/sys/fs/cgroup/memory.stat", "anon 1048576\ninactive_file 1572864\nactive_file 524288\n");
  EXPECT_EQ(Read().available, 2 * kMib);
}

TEST_F(LinuxHostMemoryTest, TheFirstControlGroupVersionIsReadToo) {
  Write("/proc/self/cgroup", "5:cpu:/box\n4:memory:/box\n");
  Write("/sys/fs/cgroup/memory/box/memory.limit_in_bytes", "2097152\n");
  Write("/sys/fs/cgroup/memory/box/memory.usage_in_bytes", "1048576\n");
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  Write("/sys/fs/cgroup/memory/memory.usage_in_bytes", "4194304\n");
  EXPECT_EQ(Read().total, 2 * kMib);
  EXPECT_EQ(Read().available, 1 * kMib);
  Write("/sys/fs/cgroup/memory/box/memory.stat", "active_file 9\ntotal_active_file 524288\n");
  EXPECT_EQ(Read().available, kMib + kMib / 2);
}

TEST_F(LinuxHostMemoryTest, AMachineThatDoesNotTellIsUnknown) {
  Write("/proc/meminfo", "");
  EXPECT_EQ(Read().total, 0U);
}

TEST(LinuxHostMemoryOnThisMachineTest, SaysSomethingPlausible) {
  const HostMemory memory = LinuxHostMemory().Read();
  EXPECT_GT(memory.available, 0U);
  EXPECT_LE(memory.available, memory.total);
}

}  // namespace
}  // namespace hearth
