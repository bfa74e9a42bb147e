// What a line asks for, and what is said to lines that ask for nothing sensible.
#include "keeper/protocol.h"

#include <gtest/gtest.h>

#include <string>

#include "fakes/keeper_fixture.h"

namespace hearth {
namespace {

class ProtocolTest : public KeeperFixture {
 protected:
  std::string Ask(const std::string& line) { return AnswerLine(line, 1, *files).line; }

  static std::string Declaration(const FileClaim& claim, const std::string& registered) {
    return R"({"op":"declare","limits":{"max_bytes":null,"keep_free_bytes":0},"files":[{"path":")" +
           claim.path + R"(","device":)" + std::to_string(claim.identity.device) + R"(,"inode":)" +
           std::to_string(claim.identity.inode) + R"(,"size":)" +
           std::to_string(claim.identity.size) + R"(,"mtime_ns":)" +
           std::to_string(claim.identity.mtime_ns) + R"(,"registered":)" + registered + "}]}";
  }
  static void ExpectRefused(const std::string& answer) {
    EXPECT_EQ(answer.rfind(R"({"error":)", 0), 0U) << answer;
    EXPECT_NE(answer.find(R"("ok":false)"), std::string::npos) << answer;
    EXPECT_EQ(answer.find('\n'), answer.size() - 1) << answer;
  }
};

TEST_F(ProtocolTest, ADeclarationIsTakenUpAndTheStatusNamesItWithoutItsFolder) {
  const std::string answer = Ask(Declaration(ClaimOf(Model("a")), "false"));
  EXPECT_NE(answer.find(R"("ok":true)"), std::string::npos) << answer;
  EXPECT_NE(answer.find(R"("name":"a")"), std::string::npos) << answer;
  EXPECT_EQ(answer.find(folder.path()), std::string::npos) << answer;
  EXPECT_EQ(Locked().size(), 1U);
}

TEST_F(ProtocolTest, OnlyStopStops) {
  EXPECT_TRUE(AnswerLine(R"({"op":"stop"})", 1, *files).stops);
  EXPECT_FALSE(AnswerLine(R"({"op":"status"})", 1, *files).stops);
  EXPECT_FALSE(AnswerLine("stop", 1, *files).stops);
}

TEST_F(ProtocolTest, MembersOfALaterVersionArePassedOver) {
  EXPECT_NE(Ask(R"({"op":"status","tone":"polite"})").find(R"("ok":true)"), std::string::npos);
}

TEST_F(ProtocolTest, WhatIsNoRequestIsAnsweredAndChangesNothing) {
  const std::string good = Declaration(ClaimOf(Model("a")), "false");
  Ask(good);
  const std::string bad[] = {
      "",
      " ",
      "{",
      "[]",
      "null",
      "1e999",
      "\xff\xfe",
      std::string("\0{}", 3),
      std::string(100'000, '['),
      R"({"op":1})",
      R"({"op":"drop"})",
      R"({"op":"declare"})",
      R"({"op":"declare","files":{},"limits":{}})",
      R"({"op":"declare","files":[1],"limits":{}})",
      R"({"op":"declare","files":[],"limits":null})",
      R"({"op":"declare","files":[],"limits":{"max_bytes":-1,"keep_free_bytes":0}})",
      R"({"op":"declare","files":[],"limits":{"max_bytes":null,"keep_free_bytes":1.5}})",
      Declaration(ClaimOf(folder / "a"), "1"),
      Declaration({.path = "relative", .identity = {}, .is_registered = false}, "false"),
      Declaration({.path = "/nul\\u0000", .identity = {}, .is_registered = false}, "false"),
      Declaration({.path = "/" + std::string(5000, 'a'), .identity = {}, .is_registered = false},
                  "false"),
      good + good,
  };
  for (const std::string& line : bad) ExpectRefused(Ask(line));
  EXPECT_EQ(Locked().size(), 1U);
}

TEST_F(ProtocolTest, EveryPrefixOfAGoodLineIsAnswered) {
  const std::string good = Declaration(ClaimOf(Model("a")), "true");
  for (std::size_t size = 0; size < good.size(); ++size) ExpectRefused(Ask(good.substr(0, size)));
}

TEST_F(ProtocolTest, TooManyFilesAreRefused) {
  std::string line = R"({"op":"declare","limits":{},"files":[0)";
  for (std::size_t i = 0; i < KeptFiles::kMostFiles; ++i) line += ",0";
  ExpectRefused(Ask(line + "]}"));
}

TEST_F(ProtocolTest, ANameThatIsNoTextIsShownAllTheSame) {
  const FileClaim claim = ClaimOf(Model("\xff"));
  files->Declare(1, {claim});
  EXPECT_NE(Ask(R"({"op":"status"})").find(R"("ok":true)"), std::string::npos);
}

}  // namespace
}  // namespace hearth
