// Every call of the kernel fails once; and what is done fifty times leaves nothing behind.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <new>
#include <string>

#include "base/error.h"
#include "fakes/failing_new.h"
#include "fakes/tier_fixture.h"

namespace hearth {
namespace {

constexpr std::uint64_t kSize = 20 * kMib + 55;

const std::string& Bytes() {
  static const std::string bytes = PatternBytes(kSize);
  return bytes;
}

class FaultsTest : public TierFixture {
 protected:
  // All that a load does. False: refused with a named error.
  bool Load(const std::string& path) {
    try {
      const HostFileHandle file = tier->Hold(path);
      file->StartReadAhead({.threads = 2});
      file->WaitForReadAhead();
      file->Register({});
      file->Lock(kMib);
      return file->state() == HostFileState::kUnmapped || HoldsBytes(*file, Bytes());
    } catch (const Error&) {
      return false;
    }
  }
};

TEST_F(FaultsTest, WhicheverCallFailsTheNextLoadWorks) {
  const std::string path = folder.Write("a", Bytes());
  for (std::uint64_t n = 0;; ++n) {
    ASSERT_LT(n, 1000U);
    system = std::make_shared<FaultySystemCalls>();
    registrar = std::make_shared<FakeRegistrar>();
    Remake();
    system->fail_at = n;
    static_cast<void>(Load(path));
    const bool has_failed = system->has_failed();
    system->fail_at = FaultySystemCalls::kNever;
    EXPECT_TRUE(Load(path)) << "after call " << n << " failed";
    EXPECT_TRUE(HoldsBytes(*tier->Hold(path), Bytes())) << "after call " << n << " failed";
    tier->Shutdown(true);
    EXPECT_TRUE(registrar->ranges().empty());
    if (!has_failed) break;
  }
}

TEST_F(FaultsTest, WhicheverAllocationFailsTheNextLoadWorks) {
  const std::string path = folder.Write("a", Bytes());
  for (std::uint64_t n = 0;; ++n) {
    ASSERT_LT(n, 5000U);
    registrar = std::make_shared<FakeRegistrar>();
    Remake();
    bool has_failed = false;
    {
      const FailingNew failing(n);
      try {
        static_cast<void>(Load(path));
      } catch (const std::bad_alloc&) {  // the named error of its kind
      }
      has_failed = failing.has_failed();
    }
    EXPECT_TRUE(Load(path)) << "after allocation " << n << " failed";
    tier->Shutdown(true);
    EXPECT_TRUE(registrar->ranges().empty()) << "after allocation " << n << " failed";
    if (!has_failed) break;
  }
}

TEST_F(FaultsTest, WhicheverSliceIsRefusedTheRestIsUsable) {
  const std::string path = folder.Write("a", Bytes());
  for (std::uint64_t n = 0; n <= 21; ++n) {
    registrar = std::make_shared<FakeRegistrar>();
    registrar->refuse_from = n;
    Remake();
    EXPECT_TRUE(Load(path));
    EXPECT_EQ(tier->Stats().registered_bytes, std::min(n * kMib, kSize));
    tier->Shutdown(true);
    EXPECT_TRUE(registrar->ranges().empty());
  }
}

class Footprint {
 public:
  // `path`: whose mappings count; those of allocators and sanitizers come and go as they please.
  explicit Footprint(const std::string& path)
      : descriptors(CountIn("/proc/self/fd")),
        threads(CountIn("/proc/self/task")),
        mappings(MappingsOf(path)),
        resident_kib(ResidentKib()) {}
  std::ptrdiff_t descriptors;
  std::ptrdiff_t threads;
  std::ptrdiff_t mappings;
  std::ptrdiff_t resident_kib;

 private:
  static std::ptrdiff_t ResidentKib() {
    std::ifstream file("/proc/self/statm");
    std::ptrdiff_t size = 0;
    std::ptrdiff_t resident = 0;
    file >> size >> resident;
    return resident * static_cast<std::ptrdiff_t>(PageSize() / 1024);
  }
  static std::ptrdiff_t CountIn(const char* folder) {
    return std::distance(std::filesystem::directory_iterator(folder), {});
  }
  static std::ptrdiff_t MappingsOf(const std::string& path) {
    std::ifstream maps("/proc/self/maps");
    std::ptrdiff_t count = 0;
    for (std::string line; std::getline(maps, line);) {
      if (line.find(path) != std::string::npos) ++count;
    }
    return count;
  }
};

TEST_F(FaultsTest, FiftyCyclesLeaveBytesEqualAndNothingBehind) {
  const std::string path = folder.Write("a", Bytes());
  const auto cycle = [&] {
    EXPECT_TRUE(Load(path));
    EXPECT_EQ(tier->GiveWay(1), kSize);
  };
  for (int i = 0; i < 3; ++i) cycle();  // allocators and thread stacks settle
  const Footprint before(path);
  for (int i = 0; i < 50; ++i) cycle();
  const Footprint after(path);
  EXPECT_EQ(after.descriptors, before.descriptors);
  EXPECT_EQ(after.threads, before.threads);
  EXPECT_EQ(after.mappings, before.mappings);
  EXPECT_LE(after.resident_kib, before.resident_kib + 8 * 1024);
  EXPECT_TRUE(registrar->ranges().empty());
  EXPECT_EQ(tier->Stats().registered_bytes, 0U);
}

}  // namespace
}  // namespace hearth
