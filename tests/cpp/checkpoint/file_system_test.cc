// What lies on a disk under a checkpoint's name, and what may happen to it meanwhile.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/error.h"
#include "checkpoint/checkpoint_file.h"
#include "checkpoint/file_bytes.h"
#include "checkpoint/safetensors_index.h"
#include "checkpoint/temp_folder.h"

namespace hearth {
namespace {

namespace fs = std::filesystem;

const std::string kGood = FileBytes("{" + Entry("x", "F32", "[1]", "[0,4]") + "}", 4);

// The message with which a file is refused; fails the test when it is not.
std::string ReasonToRefuse(const std::string& path, const AllowedRoots& roots = {}) {
  try {
    SafetensorsIndex::ReadFile(path, roots);
  } catch (const CheckpointCorrupt& error) {
    EXPECT_EQ(error.file_name(), fs::path(path).filename());
    return error.what();
  }
  ADD_FAILURE() << "was accepted";
  return {};
}

void ExpectNames(const std::string& message, const std::string& part) {
  EXPECT_NE(message.find(part), std::string::npos) << message;
}

TEST(FileSystemTest, DirectoryIsRefused) {
  TempFolder folder;
  fs::create_directory(folder / "x.safetensors");
  ExpectNames(ReasonToRefuse(folder / "x.safetensors"), "a directory");
}

// Opening a pipe for reading waits for a writer; this test would hang if it were opened.
TEST(FileSystemTest, PipeIsRefusedWithoutWaiting) {
  TempFolder folder;
  ASSERT_EQ(mkfifo((folder / "x.safetensors").c_str(), 0600), 0);
  ExpectNames(ReasonToRefuse(folder / "x.safetensors"), "a named pipe");
}

TEST(FileSystemTest, DeviceIsRefused) {
  TempFolder folder;
  fs::create_symlink("/dev/zero", folder / "x.safetensors");
  ExpectNames(ReasonToRefuse(folder / "x.safetensors"), "a device");
}

TEST(FileSystemTest, SocketIsRefused) {
  TempFolder folder;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, (folder / "x.safetensors").c_str(), sizeof(address.sun_path) - 1);
  const int socket_fd = socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(bind(socket_fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ExpectNames(ReasonToRefuse(folder / "x.safetensors"), "a socket");
  close(socket_fd);
}

TEST(FileSystemTest, MissingFileAndDanglingLinkAreNotFound) {
  TempFolder folder;
  fs::create_symlink(folder / "gone", folder / "link.safetensors");
  EXPECT_THROW(SafetensorsIndex::ReadFile(folder / "none.safetensors"), CheckpointNotFound);
  EXPECT_THROW(SafetensorsIndex::ReadFile(folder / "link.safetensors"), CheckpointNotFound);
  EXPECT_THROW(SafetensorsIndex::ReadFile(std::string("a\0b", 3)), CheckpointNotFound);
}

TEST(FileSystemTest, LinksInACircleAreRefused) {
  TempFolder folder;
  fs::create_symlink(folder / "b", folder / "a");
  fs::create_symlink(folder / "a", folder / "b");
  ExpectNames(ReasonToRefuse(folder / "a"), "cannot be reached");
}

TEST(FileSystemTest, LinkIsFollowedAndKeptInsideTheRootsWhereThereAreAny) {
  TempFolder models;
  TempFolder elsewhere;
  elsewhere.Write("x.safetensors", kGood);
  fs::create_symlink(elsewhere / "x.safetensors", models / "link.safetensors");
  EXPECT_NO_THROW(SafetensorsIndex::ReadFile(models / "link.safetensors"));
  EXPECT_NO_THROW(
      SafetensorsIndex::ReadFile(models / "link.safetensors", {{models.path(), elsewhere.path()}}));
  ExpectNames(ReasonToRefuse(models / "link.safetensors", {{models.path()}}),
              "outside the model folders");
  ExpectNames(ReasonToRefuse(models / "link.safetensors", {{models / "no-such-folder"}}),
              "outside the model folders");
}

// "/models" must not cover "/models-private".
TEST(FileSystemTest, RootIsAFolderAndNotAPrefix) {
  TempFolder folder;
  fs::create_directory(folder / "models");
  fs::create_directory(folder / "models-private");
  const std::string file = folder.Write("models-private/x.safetensors", kGood);
  ExpectNames(ReasonToRefuse(file, {{folder / "models"}}), "outside the model folders");
}

// Root may read everything, so the file is read as somebody else, in a process of its own.
TEST(FileSystemTest, FileWithoutPermissionIsRefusedForOtherUsers) {
  TempFolder folder;
  fs::permissions(folder.path(), fs::perms::all);
  const std::string file = folder.Write("x.safetensors", kGood);
  ASSERT_EQ(chmod(file.c_str(), 0), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    constexpr uid_t kNobody = 65534;
    if (getuid() == 0 && setuid(kNobody) != 0) _exit(3);
    try {
      SafetensorsIndex::ReadFile(file);
    } catch (const CheckpointCorrupt& error) {
      _exit(std::strstr(error.what(), "permission to read it") != nullptr ? 0 : 2);
    } catch (...) {
    }
    _exit(1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0) << "1: accepted, 2: other message, 3: cannot change user";
}

TEST(FileSystemTest, FileThatGrewWhileItWasReadIsRefused) {
  TempFolder folder;
  const CheckpointFile file(folder.Write("x.safetensors", kGood));
  EXPECT_NO_THROW(file.RequireUnchanged());
  std::ofstream(folder / "x.safetensors", std::ios::app) << "more";
  try {
    SafetensorsIndex::Read(file);
    FAIL() << "was accepted";
  } catch (const CheckpointCorrupt& error) {
    ExpectNames(error.what(), "changed while it was read");
  }
}

TEST(FileSystemTest, FileThatShrankWhileItWasReadIsRefusedForThatReason) {
  TempFolder folder;
  const std::string path = folder.Write("x.safetensors", kGood);
  const CheckpointFile file(path);
  ASSERT_EQ(truncate(path.c_str(), 10), 0);
  try {
    SafetensorsIndex::Read(file);
    FAIL() << "was accepted";
  } catch (const CheckpointCorrupt& error) {
    ExpectNames(error.what(), "changed while it was read");
  }
}

// The one that was opened is read to the end; the new one is another file.
TEST(FileSystemTest, FileReplacedByRenameIsReadAsItWas) {
  TempFolder folder;
  const std::string path = folder.Write("x.safetensors", kGood);
  const CheckpointFile file(path);
  fs::rename(folder.Write("new", FileBytes("{}")), path);
  EXPECT_EQ(SafetensorsIndex::Read(file).tensors().size(), 1u);
  EXPECT_NE(IdentifyFile(path), file.identity());
}

TEST(FileSystemTest, FileWrittenToJustNowMayStillBeOnItsWay) {
  TempFolder folder;
  const std::string path = folder.Write("x.safetensors", kGood.substr(0, kGood.size() - 2));
  ExpectNames(ReasonToRefuse(path), "2 bytes are missing");
  ExpectNames(ReasonToRefuse(path), "may still be on its way");
  const auto yesterday = fs::file_time_type::clock::now() - std::chrono::hours(24);
  fs::last_write_time(path, yesterday);
  ExpectNames(ReasonToRefuse(path), "copy or download it again");
}

TEST(FileSystemTest, GapThatWasNeverWrittenIsAWarning) {
  TempFolder folder;
  const std::string header = "{" + Entry("x", "U8", "[33554432]", "[0,33554432]") + "}";
  const std::string path = folder.Write("x.safetensors", FileBytes(header));
  ASSERT_EQ(truncate(path.c_str(), static_cast<off_t>(8 + header.size() + 33554432)), 0);
  if (!CheckpointFile(path).FirstUnwrittenByte()) {
    GTEST_SKIP() << "needs a temporary folder on a file system with sparse files";
  }
  const SafetensorsIndex index = SafetensorsIndex::ReadFile(path);
  ASSERT_EQ(index.warnings().size(), 1u);
  ExpectNames(index.warnings()[0], "still being downloaded");
}

TEST(FileSystemTest, DescriptorsAreGivenBackAndNotInherited) {
  TempFolder folder;
  const std::string good = folder.Write("x.safetensors", kGood);
  const std::string bad = folder.Write("y.safetensors", "no");
  const auto open_descriptors = [] {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry : fs::directory_iterator("/proc/self/fd")) ++count;
    return count;
  };
  const std::size_t before = open_descriptors();
  for (int i = 0; i < 20; ++i) {
    SafetensorsIndex::ReadFile(good);
    ReasonToRefuse(bad);
  }
  EXPECT_EQ(open_descriptors(), before);
  const int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
  close(next);
  const CheckpointFile file(good);
  EXPECT_NE(fcntl(next, F_GETFD) & FD_CLOEXEC, 0);
}

TEST(FileSystemTest, MessagesNameTheFileAndNotItsFolder) {
  TempFolder folder;
  const std::string reason = ReasonToRefuse(folder.Write("x.safetensors", "no"));
  ExpectNames(reason, "x.safetensors");
  EXPECT_EQ(reason.find(folder.path()), std::string::npos) << reason;
}

TEST(FileSystemTest, NameFullOfControlBytesCannotForgeALine) {
  TempFolder folder;
  const std::string path = folder.Write("x\n\x1b[2J\xff.safetensors", "no");
  try {
    SafetensorsIndex::ReadFile(path);
    FAIL() << "was accepted";
  } catch (const CheckpointCorrupt& error) {
    EXPECT_EQ(error.file_name(), "x\\x0a\\x1b[2J\\xff.safetensors");
  }
}

}  // namespace
}  // namespace hearth
