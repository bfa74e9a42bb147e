#ifndef HEARTH_BASE_LOG_H_
#define HEARTH_BASE_LOG_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hearth {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

struct LogLine {
  LogLevel level = LogLevel::kInfo;
  std::string text;
};

using LogField = std::pair<std::string_view, std::string>;
using LogFields = std::initializer_list<LogField>;

// An event is a past-tense fact, its fields say of what: Log…("model_loaded", {{"name", "a b"}}) is
// the line `model_loaded name="a b"`; a value is quoted where it could be misread, and never breaks
// the line.
// Lines wait in a bounded queue until somebody drains it; the oldest go first when it is full, and
// how many went is said. Thread-safe; never takes the GIL, so they may be called anywhere, but not
// under the cache's lock.
void LogDebug(std::string_view event, LogFields fields = {});
void LogInfo(std::string_view event, LogFields fields = {});
void LogWarning(std::string_view event, LogFields fields = {});
void LogError(std::string_view event, LogFields fields = {});

void SetLogLevel(LogLevel level);
// Throws ConfigError for any word but "debug", "info", "warning", "error".
LogLevel LogLevelFromString(std::string_view word);
// Takes the lines logged since the last call.
std::vector<LogLine> DrainLog();

}  // namespace hearth

#endif  // HEARTH_BASE_LOG_H_
