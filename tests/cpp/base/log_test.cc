#include "base/log.h"

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"

namespace hearth {
namespace {

class LogTest : public testing::Test {
 protected:
  LogTest() { Restart(); }
  ~LogTest() override { Restart(); }

  static std::string OnlyLine() {
    const std::vector<LogLine> lines = DrainLog();
    return lines.size() == 1 ? lines[0].text : std::to_string(lines.size()) + " lines";
  }

 private:
  static void Restart() {
    SetLogLevel(LogLevel::kInfo);
    DrainLog();
  }
};

TEST_F(LogTest, AnEventAndItsFieldsAreOneLine) {
  LogInfo("model_loaded", {{"name", "a.safetensors"}, {"bytes", "17"}});
  EXPECT_EQ(OnlyLine(), "model_loaded name=a.safetensors bytes=17");
}

TEST_F(LogTest, AnEventNeedsNoFields) {
  LogWarning("cache_closed");
  EXPECT_EQ(OnlyLine(), "cache_closed");
}

TEST_F(LogTest, AValueThatCouldBeMisreadIsQuoted) {
  LogInfo("e", {{"a", "b c"}, {"d", ""}, {"e", "x=y"}, {"f", "say \"hi\""}});
  EXPECT_EQ(OnlyLine(), R"(e a="b c" d="" e="x=y" f="say \"hi\"")");
}

TEST_F(LogTest, AValueCannotForgeALine) {
  LogInfo("model_loaded", {{"name", "a\nmodel_evicted name=b\r\x1b[31m"}});
  const std::string line = OnlyLine();
  EXPECT_EQ(line, "model_loaded name=\"a\\nmodel_evicted name=b??[31m\"");
}

TEST_F(LogTest, BracesAreNotAFormat) {
  LogInfo("model_loaded", {{"name", "{}{0}%s"}});
  EXPECT_EQ(OnlyLine(), "model_loaded name={}{0}%s");
}

TEST_F(LogTest, NamesInOtherScriptsStayReadable) {
  LogInfo("model_loaded", {{"name", "模型"}});
  EXPECT_EQ(OnlyLine(), "model_loaded name=模型");
}

TEST_F(LogTest, EachLevelIsKept) {
  SetLogLevel(LogLevel::kDebug);
  LogDebug("a");
  LogInfo("b");
  LogWarning("c");
  LogError("d");
  std::vector<LogLevel> levels;
  for (const LogLine& line : DrainLog()) levels.push_back(line.level);
  EXPECT_EQ(levels, (std::vector<LogLevel>{LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarning,
                                           LogLevel::kError}));
}

TEST_F(LogTest, LinesBelowTheLevelAreNotWritten) {
  LogDebug("a");
  SetLogLevel(LogLevel::kError);
  LogWarning("b");
  LogError("c");
  EXPECT_EQ(OnlyLine(), "c");
}

TEST_F(LogTest, DrainingTakesTheLines) {
  LogInfo("a");
  EXPECT_EQ(OnlyLine(), "a");
  EXPECT_TRUE(DrainLog().empty());
}

TEST_F(LogTest, WhenNobodyDrainsTheOldestGoAndTheCountIsSaid) {
  constexpr std::size_t kLines = 10000;
  for (std::size_t i = 0; i < kLines; ++i) LogInfo("e", {{"i", std::to_string(i)}});
  const std::vector<LogLine> lines = DrainLog();
  ASSERT_GT(lines.size(), 2U);
  ASSERT_LT(lines.size(), kLines);
  const std::size_t dropped = kLines - (lines.size() - 1);
  EXPECT_EQ(lines[0].text, "log_lines_dropped count=" + std::to_string(dropped));
  EXPECT_EQ(lines[0].level, LogLevel::kWarning);
  EXPECT_EQ(lines[1].text, "e i=" + std::to_string(dropped));
  EXPECT_EQ(lines.back().text, "e i=" + std::to_string(kLines - 1));
  LogInfo("a");
  EXPECT_EQ(OnlyLine(), "a");
}

TEST_F(LogTest, LinesOfManyThreadsAreAllThereOnceWhileOthersDrain) {
  constexpr int kThreads = 4;
  constexpr int kEach = 500;
  std::atomic<int> writing = kThreads;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([t, &writing] {
      for (int i = 0; i < kEach; ++i) {
        LogInfo("e", {{"id", std::to_string(t) + "." + std::to_string(i)}});
      }
      --writing;
    });
  }
  std::multiset<std::string> seen;
  const auto drain = [&seen] {
    for (const LogLine& line : DrainLog()) seen.insert(line.text);
  };
  while (writing > 0) drain();
  for (std::thread& thread : threads) thread.join();
  drain();
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(kThreads * kEach));
  EXPECT_EQ(std::set<std::string>(seen.begin(), seen.end()).size(), seen.size());
}

TEST_F(LogTest, LevelsHaveTheWordsOfTheConfig) {
  EXPECT_EQ(LogLevelFromString("debug"), LogLevel::kDebug);
  EXPECT_EQ(LogLevelFromString("info"), LogLevel::kInfo);
  EXPECT_EQ(LogLevelFromString("warning"), LogLevel::kWarning);
  EXPECT_EQ(LogLevelFromString("error"), LogLevel::kError);
}

TEST_F(LogTest, AnotherWordIsNoLevelAndTheErrorSaysWhichAre) {
  try {
    LogLevelFromString("loud");
    FAIL() << "taken for a level";
  } catch (const ConfigError& error) {
    EXPECT_EQ(error.pointer(), "/log/level");
    EXPECT_NE(std::string(error.what()).find("debug, info, warning or error"), std::string::npos);
  }
}

}  // namespace
}  // namespace hearth
