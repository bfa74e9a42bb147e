#include "checkpoint/file_identity.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <string>

#include "base/error.h"
#include "checkpoint/temp_folder.h"

namespace hearth {
namespace {

namespace fs = std::filesystem;

TEST(FileIdentityTest, IsTheSameForOneFileByTwoNames) {
  TempFolder folder;
  const std::string path = folder.Write("a.safetensors", "bytes");
  fs::create_symlink(path, folder / "b.safetensors");
  EXPECT_EQ(IdentifyFile(path), IdentifyFile(folder / "b.safetensors"));
  EXPECT_EQ(IdentifyFile(path).ToString(), IdentifyFile(folder / "b.safetensors").ToString());
  EXPECT_EQ(IdentifyFile(path).size, 5u);
}

TEST(FileIdentityTest, ChangesWhenTheFileIsReplacedRewrittenOrMoved) {
  TempFolder folder;
  const std::string path = folder.Write("a.safetensors", "bytes");
  const FileIdentity first = IdentifyFile(path);

  // Same size and time, another file.
  const std::string other = folder.Write("b", "other");
  fs::last_write_time(other, fs::last_write_time(path));
  fs::rename(other, path);
  const FileIdentity replaced = IdentifyFile(path);
  EXPECT_NE(replaced.ToString(), first.ToString());

  // Same file and size, another time.
  fs::last_write_time(path, fs::last_write_time(path) + std::chrono::nanoseconds(1000));
  const FileIdentity rewritten = IdentifyFile(path);
  EXPECT_NE(rewritten.ToString(), replaced.ToString());

  fs::rename(path, folder / "c.safetensors");
  EXPECT_NE(IdentifyFile(folder / "c.safetensors").ToString(), rewritten.ToString());
}

TEST(FileIdentityTest, TextHoldsNoPath) {
  TempFolder folder;
  const std::string text = IdentifyFile(folder.Write("secret.safetensors", "x")).ToString();
  EXPECT_EQ(text.find('/'), std::string::npos) << text;
  EXPECT_EQ(text.find("secret"), std::string::npos) << text;
}

TEST(FileIdentityTest, ReadsNothing) {
  TempFolder folder;
  const std::string path = folder.Write("a.safetensors", "bytes");
  ASSERT_EQ(chmod(path.c_str(), 0), 0);
  EXPECT_EQ(IdentifyFile(path).size, 5u);
}

TEST(FileIdentityTest, RefusesWhatIsNoFile) {
  TempFolder folder;
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  fs::create_symlink(folder / "gone", folder / "dangling");
  EXPECT_THROW(IdentifyFile(folder.path()), CheckpointCorrupt);
  EXPECT_THROW(IdentifyFile(folder / "pipe"), CheckpointCorrupt);
  EXPECT_THROW(IdentifyFile("/dev/null"), CheckpointCorrupt);
  EXPECT_THROW(IdentifyFile(folder / "dangling"), CheckpointNotFound);
  EXPECT_THROW(IdentifyFile(""), CheckpointNotFound);
  try {
    IdentifyFile(folder / "none.safetensors");
    FAIL();
  } catch (const CheckpointNotFound& error) {
    EXPECT_EQ(std::string(error.what()).find(folder.path()), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace hearth
