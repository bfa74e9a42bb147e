// Which files are kept, shared, found and given up.
#include "hosttier/host_tier.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "fakes/tier_fixture.h"

namespace hearth {
namespace {

class HostTierTest : public TierFixture {
 protected:
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const HostFileStats& file : tier->Stats().files) names.push_back(file.name);
    return names;
  }
};

TEST_F(HostTierTest, AHeldFileHasTheFilesBytes) {
  const std::string path = WriteModel("a", 3 * kMib + 17);
  const HostFileHandle handle = tier->Hold(path);
  EXPECT_TRUE(HoldsBytes(*handle, PatternBytes(3 * kMib + 17)));
  EXPECT_EQ(handle->state(), HostFileState::kMapped);
}

TEST_F(HostTierTest, AFileHeldUnderTwoNamesIsMappedOnce) {
  const std::string path = WriteModel("a", kMib);
  std::filesystem::create_symlink(path, folder / "link");
  const HostFileHandle first = tier->Hold(path);
  const HostFileHandle second = tier->Hold(folder / "link");
  EXPECT_EQ(first->file().address(), second->file().address());
  EXPECT_EQ(tier->Stats().mapped_bytes, kMib);
}

TEST_F(HostTierTest, AFileIsFoundByItsNumber) {
  const HostFileHandle held = tier->Hold(WriteModel("a", kMib));
  const HostFileIdentity& identity = held->file().identity();
  EXPECT_EQ(&*tier->Find(identity.device, identity.inode), &*held);
  EXPECT_FALSE(tier->Find(identity.device, identity.inode + 1));
}

TEST_F(HostTierTest, AnUnheldFileStaysUntilRoomIsNeeded) {
  const std::string path = WriteModel("a", kMib);
  const std::byte* const address = tier->Hold(path)->file().address();
  EXPECT_EQ(tier->Hold(path)->file().address(), address);
  EXPECT_EQ(tier->GiveWay(1), kMib);
  EXPECT_TRUE(Names().empty());
}

TEST_F(HostTierTest, AHeldFileNeverGivesWay) {
  const HostFileHandle held = tier->Hold(WriteModel("a", kMib));
  EXPECT_EQ(tier->GiveWay(kMib), 0U);
  EXPECT_TRUE(HoldsBytes(*held, PatternBytes(kMib)));
}

TEST_F(HostTierTest, ADuplicateHoldsAsWell) {
  HostFileHandle first = tier->Hold(WriteModel("a", kMib));
  const HostFileHandle second = first.Duplicate();
  first = HostFileHandle();
  EXPECT_EQ(tier->GiveWay(kMib), 0U);
}

TEST_F(HostTierTest, TheLeastRecentlyUsedGoesFirst) {
  for (const char* name : {"a", "b", "c"}) {
    tier->Hold(WriteModel(name, kMib));
    clock->Advance(1.0);
  }
  tier->Hold(folder / "a");
  EXPECT_EQ(tier->GiveWay(1), kMib);
  EXPECT_EQ(Names(), (std::vector<std::string>{"c", "a"}));
}

TEST_F(HostTierTest, HoldingMoreThanTheLimitReleasesTheUnheld) {
  tier->SetLimits({.max_bytes = 2 * kMib});
  tier->Hold(WriteModel("a", kMib));
  clock->Advance(1.0);
  const HostFileHandle b = tier->Hold(WriteModel("b", kMib));
  const HostFileHandle c = tier->Hold(WriteModel("c", kMib));
  EXPECT_EQ(Names(), (std::vector<std::string>{"b", "c"}));
}

TEST_F(HostTierTest, AFileThatIsTooBigForTheLimitIsHeldAllTheSame) {
  tier->SetLimits({.max_bytes = kMib});
  EXPECT_TRUE(HoldsBytes(*tier->Hold(WriteModel("a", 2 * kMib)), PatternBytes(2 * kMib)));
  EXPECT_EQ(tier->Tidy(), 2 * kMib);
}

TEST_F(HostTierTest, LackOfFreeRamReleasesTheUnheld) {
  tier->Hold(WriteModel("a", kMib))->Register({});
  clock->Advance(1.0);
  tier->Hold(WriteModel("b", kMib))->Register({});
  available = 3 * kMib;
  tier->SetLimits({.max_bytes = {}, .keep_free_bytes = 2 * kMib});  // 2 are registered: 1 too many
  EXPECT_EQ(tier->Tidy(), kMib);
  EXPECT_EQ(Names(), std::vector<std::string>{"b"});
  EXPECT_EQ(registrar->ranges().size(), 1U);
}

TEST_F(HostTierTest, AFileReplacedByRenamingKeepsItsBytesAndTheNameLeadsToTheNewOne) {
  const std::string path = WriteModel("a", kMib, 1);
  const HostFileHandle old = tier->Hold(path);
  std::filesystem::rename(WriteModel("b", kMib, 2), path);
  EXPECT_TRUE(HoldsBytes(*old, PatternBytes(kMib, 1)));
  EXPECT_NO_THROW(old->RequireSound());
  EXPECT_TRUE(HoldsBytes(*tier->Hold(path), PatternBytes(kMib, 2)));
}

TEST_F(HostTierTest, AnUnheldFileWhoseNameLeadsElsewhereGoesAtTheNextTidying) {
  const std::string path = WriteModel("a", kMib, 1);
  tier->Hold(path);
  std::filesystem::rename(WriteModel("b", kMib, 2), path);
  EXPECT_EQ(tier->Tidy(), kMib);
}

TEST_F(HostTierTest, AFileWrittenToInPlaceIsRefusedAndItsNextHolderIsSound) {
  const std::string path = WriteModel("a", kMib, 1);
  const HostFileHandle old = tier->Hold(path);
  folder.Write("a", PatternBytes(kMib, 2));
  EXPECT_EQ(old->state(), HostFileState::kPoisoned);
  EXPECT_THROW(old->RequireSound(), CheckpointCorrupt);
  EXPECT_THROW(old->Register({}), CheckpointCorrupt);
  const HostFileHandle next = tier->Hold(path);
  EXPECT_NO_THROW(next->RequireSound());
  const HostFileIdentity& identity = next->file().identity();
  EXPECT_EQ(&*tier->Find(identity.device, identity.inode), &*next);
}

TEST_F(HostTierTest, WhatIsNoFileIsNamed) {
  EXPECT_THROW(tier->Hold(folder / "missing"), CheckpointNotFound);
  EXPECT_THROW(tier->Hold(folder.path()), CheckpointCorrupt);
  EXPECT_THROW(tier->Hold(folder.Write("empty", "")), CheckpointCorrupt);
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_THROW(tier->Hold(folder / "pipe"), CheckpointCorrupt);
}

TEST_F(HostTierTest, AfterShutdownNothingIsMappedAndHandlesStayGood) {
  const std::string path = WriteModel("a", kMib);
  const HostFileHandle held = tier->Hold(path);
  tier->Hold(WriteModel("b", kMib));
  tier->Shutdown(true);
  tier->Shutdown(true);
  EXPECT_THROW(tier->Hold(path), CacheClosed);
  EXPECT_TRUE(HoldsBytes(*held, PatternBytes(kMib)));
  EXPECT_EQ(Names(), std::vector<std::string>{"a"});
}

}  // namespace
}  // namespace hearth
