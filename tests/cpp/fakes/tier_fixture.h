#ifndef HEARTH_TESTS_FAKES_TIER_FIXTURE_H_
#define HEARTH_TESTS_FAKES_TIER_FIXTURE_H_

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "checkpoint/temp_folder.h"
#include "fakes/fake_registrar.h"
#include "fakes/faulty_system_calls.h"
#include "fakes/manual_clock.h"
#include "hosttier/host_tier.h"

namespace hearth {

inline constexpr std::uint64_t kMib = std::uint64_t{1} << 20;

// Bytes of which no two neighbours, pages or slices are alike.
inline std::string PatternBytes(std::size_t size, unsigned seed = 1) {
  std::string bytes(size, '\0');
  std::uint64_t state = seed;
  for (std::size_t i = 0; i < size; ++i) {
    if (i % 8 == 0) state = state * 6364136223846793005u + 1442695040888963407u;
    bytes[i] = static_cast<char>(state >> (8 * (i % 8)));
  }
  return bytes;
}

// A tier over the real kernel with a registrar that keeps account.
class TierFixture : public testing::Test {
 protected:
  TierFixture() { Remake(); }
  ~TierFixture() override { tier->Shutdown(true); }

  void Remake() {
    HostTier::Parts parts;
    parts.system = system;
    parts.clock = clock;
    parts.available = [this]() -> std::optional<std::uint64_t> { return available.load(); };
    parts.registrar = registrar;
    parts.limits = limits;
    parts.slice_bytes = slice_bytes;
    tier = std::make_unique<HostTier>(std::move(parts));
  }

  // Over a driver's registrar instead of over the one that only keeps account.
  void RemakeOver(std::shared_ptr<HostRegistrar> driver) {
    HostTier::Parts parts;
    parts.system = system;
    parts.clock = clock;
    parts.registrar = std::move(driver);
    parts.slice_bytes = slice_bytes;
    tier = std::make_unique<HostTier>(std::move(parts));
  }

  static bool HoldsBytes(const HostFile& file, const std::string& bytes) {
    return file.file().size() == bytes.size() &&
           std::memcmp(file.file().address(), bytes.data(), bytes.size()) == 0;
  }
  // In one copy; a pattern of its own, so that files differ.
  std::string WriteModel(const std::string& name, std::size_t size, unsigned seed = 1) {
    return folder.Write(name, PatternBytes(size, seed));
  }

  TempFolder folder;
  std::shared_ptr<FaultySystemCalls> system = std::make_shared<FaultySystemCalls>();
  std::shared_ptr<ManualClock> clock = std::make_shared<ManualClock>();
  std::shared_ptr<FakeRegistrar> registrar = std::make_shared<FakeRegistrar>();
  std::atomic<std::uint64_t> available{std::numeric_limits<std::uint64_t>::max()};
  HostTierLimits limits;
  std::uint64_t slice_bytes = kMib;
  std::unique_ptr<HostTier> tier;
};

}  // namespace hearth

#endif  // HEARTH_TESTS_FAKES_TIER_FIXTURE_H_
