// Who may come, who is answered, and what is left when somebody goes.
#include "keeper/keeper_server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>

#include "base/error.h"
#include "fakes/keeper_fixture.h"
#include "keeper/protocol.h"

namespace hearth {
namespace {

using std::chrono::milliseconds;

class KeeperServerTest : public KeeperFixture {
 protected:
  const std::string place = folder / "keeper";
  const std::string path = place + "/keeper.sock";

  std::unique_ptr<KeeperServer> Start() {
    KeeperServer::Parts parts;
    parts.folder = place;
    parts.clock = clock;
    parts.files = Make();
    return std::make_unique<KeeperServer>(std::move(parts));
  }
  Descriptor Connect() const {
    Descriptor connection(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    struct sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    const auto* const generic = reinterpret_cast<const struct sockaddr*>(&address);
    EXPECT_EQ(::connect(connection.get(), generic, sizeof(address)), 0) << std::strerror(errno);
    return connection;
  }
  static void Write(const Descriptor& to, const std::string& text) {
    static_cast<void>(::send(to.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
  }
  // Lets the server work until it has nothing to do for now.
  static bool Settle(KeeperServer& server) {
    bool goes_on = true;
    for (int i = 0; i < 50 && goes_on; ++i) goes_on = server.Step(milliseconds(0));
    return goes_on;
  }
  static std::string Read(const Descriptor& from) {
    char bytes[4096];
    const ssize_t size = ::recv(from.get(), bytes, sizeof(bytes), MSG_DONTWAIT);
    return size < 0 ? "nothing" : std::string(bytes, static_cast<std::size_t>(size));
  }
  std::string Declaration(const std::string& name, const std::string& registered) const {
    const FileClaim claim = ClaimOf(folder / name);
    return R"({"op":"declare","limits":{"max_bytes":null,"keep_free_bytes":0},"files":[{"path":")" +
           claim.path + R"(","device":)" + std::to_string(claim.identity.device) + R"(,"inode":)" +
           std::to_string(claim.identity.inode) + R"(,"size":)" +
           std::to_string(claim.identity.size) + R"(,"mtime_ns":)" +
           std::to_string(claim.identity.mtime_ns) + R"(,"registered":)" + registered + "}]}\n";
  }
};

TEST_F(KeeperServerTest, ItsSocketIsClosedToOthersWhateverTheMaskIs) {
  const mode_t before = ::umask(0);
  const auto server = Start();
  ::umask(before);
  struct stat status{};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  ASSERT_EQ(::stat(place.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700U);
}

TEST_F(KeeperServerTest, AFolderThatOthersMayEnterIsRefusedWithWhatToDo) {
  std::filesystem::create_directory(place);
  ::chmod(place.c_str(), 0755);
  try {
    Start();
    FAIL() << "started";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("chmod 700"), std::string::npos) << error.what();
  }
}

TEST_F(KeeperServerTest, ALinkInPlaceOfTheFolderIsRefused) {
  std::filesystem::create_directory(folder / "elsewhere");
  ::chmod((folder / "elsewhere").c_str(), 0700);
  std::filesystem::create_symlink(folder / "elsewhere", place);
  EXPECT_THROW(Start(), Error);
}

TEST_F(KeeperServerTest, ATooLongPathIsNamed) {
  KeeperServer::Parts parts;
  parts.folder = folder / std::string(120, 'x');
  parts.clock = clock;
  parts.files = Make();
  EXPECT_THROW(KeeperServer(std::move(parts)), Error);
}

TEST_F(KeeperServerTest, TheSecondSaysThatTheFirstIsThereAndLeavesItAlone) {
  const auto first = Start();
  try {
    Start();
    FAIL() << "started";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what())
                  .find("running already (process " + std::to_string(::getpid()) + ")"),
              std::string::npos)
        << error.what();
  }
  const Descriptor client = Connect();
  Write(client, "{\"op\":\"status\"}\n");
  Settle(*first);
  EXPECT_NE(Read(client).find(R"("ok":true)"), std::string::npos);
}

TEST_F(KeeperServerTest, WhatAKilledOneHasLeftIsTakenOver) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto* const server = Start().release();
    static_cast<void>(server);
    ::_exit(0);  // as a kill does: nothing is tidied
  }
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  ASSERT_TRUE(std::filesystem::exists(path));
  EXPECT_NO_THROW(Start());
}

TEST_F(KeeperServerTest, AtItsEndNoSocketIsLeft) {
  Start();
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(KeeperServerTest, WhenAConnectionEndsItsRegisteredFilesAreLockedAgain) {
  Model("a");
  const auto server = Start();
  {
    const Descriptor client = Connect();
    Write(client, Declaration("a", "true"));
    Settle(*server);
    EXPECT_EQ(server->Stats().files.at(0).clients, 1U);
    EXPECT_EQ(system->locked, 0U);
  }
  Settle(*server);
  EXPECT_EQ(server->Stats().files.at(0).clients, 0U);
  EXPECT_GT(system->locked, 0U);
}

TEST_F(KeeperServerTest, AChildThatInheritedTheConnectionDoesNotOutliveItsParentsClaim) {
  Model("a");
  const auto server = Start();
  int gate[2];
  ASSERT_EQ(::pipe2(gate, O_CLOEXEC), 0);
  Descriptor closing(gate[1]);
  const Descriptor waiting(gate[0]);
  const std::string text = Declaration("a", "true");
  const pid_t parent = ::fork();
  ASSERT_GE(parent, 0);
  if (parent == 0) {
    const Descriptor client = Connect();
    Write(client, text);
    closing = Descriptor();
    if (::fork() == 0) {  // holds the connection until the test ends
      char byte = 0;
      static_cast<void>(!::read(waiting.get(), &byte, 1));
    } else {
      char byte = 0;
      static_cast<void>(!::recv(client.get(), &byte, 1, 0));  // until it is answered
    }
    ::_exit(0);
  }
  while (server->Stats().files.empty()) server->Step(milliseconds(100));
  ASSERT_EQ(::waitpid(parent, nullptr, 0), parent);
  Settle(*server);
  EXPECT_EQ(server->Stats().files.at(0).clients, 0U);
  closing = Descriptor();
}

TEST_F(KeeperServerTest, RequestsInPiecesAndSeveralInOneAreAnsweredEach) {
  const auto server = Start();
  const Descriptor client = Connect();
  Write(client, "{\"op\":\"sta");
  Settle(*server);
  EXPECT_EQ(Read(client), "nothing");
  Write(client, "tus\"}\nnonsense\n");
  Settle(*server);
  const std::string answers = Read(client);
  EXPECT_NE(answers.find(R"("ok":true)"), std::string::npos) << answers;
  EXPECT_NE(answers.find("not JSON"), std::string::npos) << answers;
}

TEST_F(KeeperServerTest, ALineThatDoesNotEndEndsItsConnectionAlone) {
  const auto server = Start();
  const Descriptor flood = Connect();
  const Descriptor other = Connect();
  for (std::size_t sent = 0; sent <= kMostLineBytes + (1 << 17); sent += 1 << 16) {
    Write(flood, std::string(1 << 16, 'x'));
    server->Step(milliseconds(0));
  }
  Settle(*server);
  EXPECT_NE(Read(flood).find("too long"), std::string::npos);
  Write(other, "{\"op\":\"status\"}\n");
  Settle(*server);
  EXPECT_NE(Read(other).find(R"("ok":true)"), std::string::npos);
}

TEST_F(KeeperServerTest, MoreThanSoManyAreToldSo) {
  const auto server = Start();
  std::vector<Descriptor> clients;
  for (std::size_t i = 0; i < KeeperServer::kMostClients; ++i) {
    clients.push_back(Connect());
    Settle(*server);
  }
  const Descriptor late = Connect();
  Settle(*server);
  EXPECT_NE(Read(late).find("too many"), std::string::npos);
}

TEST_F(KeeperServerTest, StopIsAnsweredAndEndsIt) {
  auto server = Start();
  const Descriptor client = Connect();
  Write(client, "{\"op\":\"stop\"}\n");
  EXPECT_FALSE(Settle(*server));
  EXPECT_NE(Read(client).find(R"("ok":true)"), std::string::npos);
  EXPECT_EQ(Read(client), "nothing");
  server.reset();
  EXPECT_EQ(Read(client), "");  // only now the end is seen
}

TEST_F(KeeperServerTest, AWakeEndsTheWait) {
  const auto server = Start();
  ASSERT_EQ(::write(server->wake_descriptor(), "x", 1), 1);
  EXPECT_TRUE(server->Step(std::chrono::minutes(5)));  // or the test runs out of time
}

TEST_F(KeeperServerTest, ChangedFilesGoOnTheSlowTimer) {
  Model("a");
  const auto server = Start();
  const Descriptor client = Connect();
  Write(client, Declaration("a", "false"));
  Settle(*server);
  std::filesystem::remove(folder / "a");
  Settle(*server);
  EXPECT_EQ(server->Stats().files.size(), 1U);
  clock->Advance(10.0);
  Settle(*server);
  EXPECT_EQ(server->Stats().files.size(), 0U);
}

}  // namespace
}  // namespace hearth
