#ifndef HEARTH_TESTS_FAKES_KEEPER_FIXTURE_H_
#define HEARTH_TESTS_FAKES_KEEPER_FIXTURE_H_

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "checkpoint/file_bytes.h"
#include "checkpoint/temp_folder.h"
#include "fakes/counted_locks.h"
#include "fakes/manual_clock.h"
#include "keeper/kept_files.h"

namespace hearth {

inline std::string ModelBytes(std::size_t data_bytes) {
  const std::string size = std::to_string(data_bytes);
  return FileBytes("{" + Entry("w", "U8", "[" + size + "]", "[0," + size + "]") + "}", data_bytes);
}

// As a client sees it now.
inline FileClaim ClaimOf(const std::string& path, bool is_registered = false) {
  struct stat status{};
  EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
  FileClaim claim{.path = path, .identity = {}, .is_registered = is_registered};
  claim.identity.device = status.st_dev;
  claim.identity.inode = status.st_ino;
  claim.identity.size = static_cast<std::uint64_t>(status.st_size);
  claim.identity.mtime_ns =
      static_cast<std::int64_t>(status.st_mtim.tv_sec) * 1'000'000'000 + status.st_mtim.tv_nsec;
  return claim;
}

// Kept files over real files and counted locks, on a machine whose RAM a test sets.
class KeeperFixture : public testing::Test {
 protected:
  static constexpr std::size_t kData = 1000;  // of each model; with its header one page

  KeeperFixture() { Remake(); }

  std::unique_ptr<KeptFiles> Make() {
    KeptFiles::Parts parts;
    parts.system = system;
    parts.clock = clock;
    parts.available = [this] { return available; };
    parts.lockable = [this] { return lockable; };
    parts.limits = limits;
    parts.slice_bytes = slice_bytes;
    parts.margin_bytes = 0;
    return std::make_unique<KeptFiles>(std::move(parts));
  }
  void Remake() { files = Make(); }

  std::string Model(const std::string& name, std::size_t data_bytes = kData) {
    clock->Advance(1.0);
    return folder.Write(name, ModelBytes(data_bytes));
  }
  void WorkToTheEnd() {
    while (files->Work()) continue;
  }
  // Locked bytes of each file after all work is done.
  std::map<std::string, std::uint64_t> Locked() {
    WorkToTheEnd();
    std::map<std::string, std::uint64_t> locked;
    for (const KeptFileStats& file : files->Stats().files) locked[file.name] = file.locked_bytes;
    return locked;
  }

  TempFolder folder;
  std::shared_ptr<CountedLocks> system = std::make_shared<CountedLocks>();
  std::shared_ptr<ManualClock> clock = std::make_shared<ManualClock>();
  std::optional<std::uint64_t> available;
  std::optional<std::uint64_t> lockable;
  HostTierLimits limits;
  std::uint64_t slice_bytes = 4096;
  std::unique_ptr<KeptFiles> files;
};

}  // namespace hearth

#endif  // HEARTH_TESTS_FAKES_KEEPER_FIXTURE_H_
