// Which files are kept, and which of their bytes are locked.
#include "keeper/kept_files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <vector>

#include "fakes/keeper_fixture.h"

namespace hearth {
namespace {

using Locks = std::map<std::string, std::uint64_t>;

class KeptFilesTest : public KeeperFixture {
 protected:
  const std::uint64_t size = ModelBytes(kData).size();
  const std::uint64_t page = PageSize();
};

TEST_F(KeptFilesTest, ADeclaredFileIsLockedSliceBySlice) {
  const std::string path = Model("a", 10 * 4096);
  EXPECT_TRUE(files->Declare(1, {ClaimOf(path)}).empty());
  EXPECT_EQ(system->locked, 0U);
  EXPECT_TRUE(files->Work());
  EXPECT_EQ(system->locked, 4096U);
  EXPECT_EQ(Locked(), (Locks{{"a", std::filesystem::file_size(path)}}));
  EXPECT_EQ(system->calls, 11U);
}

TEST_F(KeptFilesTest, AFileOfTwoClientsIsLockedOnce) {
  const std::string path = Model("a");
  files->Declare(1, {ClaimOf(path)});
  files->Declare(2, {ClaimOf(path)});
  EXPECT_EQ(Locked(), (Locks{{"a", size}}));
  EXPECT_EQ(system->locked, page);
}

TEST_F(KeptFilesTest, ARegisteredFileIsUnlockedAtOnceAndLockedAgainWhenItNoLongerIs) {
  const std::string path = Model("a");
  files->Declare(1, {ClaimOf(path)});
  WorkToTheEnd();
  files->Declare(1, {ClaimOf(path, true)});
  EXPECT_EQ(system->locked, 0U);
  EXPECT_EQ(Locked(), (Locks{{"a", 0}}));
  files->Declare(1, {ClaimOf(path, false)});
  EXPECT_EQ(Locked(), (Locks{{"a", size}}));
}

TEST_F(KeptFilesTest, AsLongAsOneClientHasItRegisteredItIsNotLocked) {
  const std::string path = Model("a");
  files->Declare(1, {ClaimOf(path, true)});
  files->Declare(2, {ClaimOf(path, true)});
  files->ClientGone(1);
  EXPECT_EQ(Locked(), (Locks{{"a", 0}}));
  files->ClientGone(2);
  EXPECT_EQ(Locked(), (Locks{{"a", size}}));
}

TEST_F(KeptFilesTest, WhatAClientHeldStaysWhenItHasEnded) {
  files->Declare(1, {ClaimOf(Model("a"), true), ClaimOf(Model("b"))});
  files->ClientGone(1);
  EXPECT_EQ(Locked(), (Locks{{"a", size}, {"b", size}}));
}

TEST_F(KeptFilesTest, WhatALivingClientNoLongerHoldsIsLetGo) {
  const FileClaim a = ClaimOf(Model("a"));
  const FileClaim b = ClaimOf(Model("b"));
  files->Declare(1, {a, b});
  WorkToTheEnd();
  files->Declare(1, {b});
  EXPECT_EQ(Locked(), (Locks{{"b", size}}));
}

TEST_F(KeptFilesTest, WhatAnotherOneHoldsOrAnEndedOneHeldIsNotLetGo) {
  const FileClaim a = ClaimOf(Model("a"));
  const FileClaim b = ClaimOf(Model("b"));
  files->Declare(1, {a});
  files->ClientGone(1);
  files->Declare(2, {b});
  files->Declare(3, {b});
  files->Declare(3, {});
  EXPECT_EQ(Locked(), (Locks{{"a", size}, {"b", size}}));
}

TEST_F(KeptFilesTest, TheBudgetKeepsWhatLivingClientsHoldThenWhatWasUsedLast) {
  const FileClaim a = ClaimOf(Model("a"));
  files->Declare(1, {a});
  clock->Advance(1.0);
  files->Declare(2, {ClaimOf(Model("b"))});
  clock->Advance(1.0);
  files->Declare(3, {ClaimOf(Model("c"))});
  files->ClientGone(2);
  clock->Advance(1.0);
  files->ClientGone(3);
  files->SetLimits({.max_bytes = 2 * page});
  EXPECT_EQ(Locked(), (Locks{{"a", size}, {"b", 0}, {"c", size}}));
}

TEST_F(KeptFilesTest, WhenRamGetsShortTheLeastWantedIsUnlockedFirst) {
  files->Declare(1, {ClaimOf(Model("a", 4 * page))});
  files->ClientGone(1);
  files->Declare(2, {ClaimOf(Model("b"))});
  files->SetLimits({.max_bytes = {}, .keep_free_bytes = 100 * page});
  available = 1000 * page;
  const std::uint64_t whole = Locked()["a"];
  EXPECT_GT(whole, 4 * page);
  available = 98 * page;  // two are missing
  files->Tidy();
  EXPECT_EQ(system->locked, 4 * page);  // of five pages, and of b's one
  available = 100 * page;
  EXPECT_FALSE(files->Work());
}

TEST_F(KeptFilesTest, TheFreeRamAskedForAtConstructionRemainsTheLeast) {
  limits.keep_free_bytes = 100;
  Remake();
  files->SetLimits({.max_bytes = {}, .keep_free_bytes = 0});
  EXPECT_EQ(files->Stats().limits.keep_free_bytes, 100U);
}

TEST_F(KeptFilesTest, TheLimitOfLockedMemoryIsKeptAndWhatToRaiseIsSaid) {
  lockable = 2 * page;
  files->Declare(1, {ClaimOf(Model("a", 10 * page))});
  EXPECT_EQ(Locked(), (Locks{{"a", 2 * page}}));
  EXPECT_NE(files->Stats().advice.find("LimitMEMLOCK=1M"), std::string::npos);
  lockable = std::nullopt;
  EXPECT_GT(Locked()["a"], 10 * page);
  EXPECT_EQ(files->Stats().advice, "");
}

TEST_F(KeptFilesTest, AChangedOrReplacedOrDeletedFileIsLetGo) {
  const std::string changed = Model("changed");
  const std::string replaced = Model("replaced");
  const std::string deleted = Model("deleted");
  files->Declare(1, {ClaimOf(changed), ClaimOf(replaced), ClaimOf(deleted), ClaimOf(Model("a"))});
  WorkToTheEnd();
  folder.Write("changed", ModelBytes(2 * kData));
  std::filesystem::rename(Model("new"), replaced);
  std::filesystem::remove(deleted);
  files->Tidy();
  EXPECT_EQ(Locked(), (Locks{{"a", size}}));
}

TEST_F(KeptFilesTest, WhatCannotBeLockedIsLeftAloneUntilTheNextTidyingAndDoesNotStayHalfLocked) {
  system->fails_beyond = 2 * page;
  files->Declare(1, {ClaimOf(Model("a", 10 * page))});
  EXPECT_EQ(Locked(), (Locks{{"a", 2 * page}}));
  EXPECT_EQ(system->locked, 2 * page);
  EXPECT_NE(files->Stats().advice.find("a: its pages cannot be locked"), std::string::npos);
  system->fails_beyond = 100 * page;
  EXPECT_FALSE(files->Work());
  files->Tidy();
  EXPECT_GT(Locked()["a"], 10 * page);
}

TEST_F(KeptFilesTest, WhatIsNoModelIsRefusedByNameAndTheRestIsKept) {
  const std::string pipe = folder / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  FileClaim missing = ClaimOf(Model("b"));
  missing.path = folder / "missing";
  const std::vector<Refusal> refusals =
      files->Declare(1, {ClaimOf(folder.Write("text", "no model")), ClaimOf(folder.path()),
                         ClaimOf(pipe), missing, ClaimOf(Model("a"))});
  std::vector<std::string> names;
  for (const Refusal& each : refusals) names.push_back(each.name);
  ASSERT_EQ(names.size(), 4U);
  EXPECT_EQ(names[0], "text");
  EXPECT_EQ(names[2], "pipe");
  EXPECT_EQ(names[3], "missing");
  for (const Refusal& each : refusals)
    EXPECT_EQ(each.reason.find(folder.path()), std::string::npos);
  EXPECT_EQ(Locked(), (Locks{{"a", size}}));
}

TEST_F(KeptFilesTest, ANameThatLeadsToAnotherFileThanAtTheSenderIsRefused) {
  FileClaim claim = ClaimOf(Model("a"));
  claim.path = Model("b");
  const std::vector<Refusal> refusals = files->Declare(1, {claim});
  ASSERT_EQ(refusals.size(), 1U);
  EXPECT_NE(refusals[0].reason.find("another file"), std::string::npos);
}

TEST_F(KeptFilesTest, NoMoreThanSoManyFilesAreKeptAndThoseOfTheDeadMakePlace) {
  std::vector<FileClaim> claims;
  for (std::size_t i = 0; i < KeptFiles::kMostFiles; ++i) {
    claims.push_back(ClaimOf(Model(std::to_string(i))));
  }
  files->Declare(1, claims);
  EXPECT_EQ(files->Declare(2, {ClaimOf(Model("more"))}).size(), 1U);
  files->ClientGone(1);
  EXPECT_TRUE(files->Declare(2, {ClaimOf(Model("more"))}).empty());
  EXPECT_EQ(files->Stats().files.size(), KeptFiles::kMostFiles);
}

}  // namespace
}  // namespace hearth
