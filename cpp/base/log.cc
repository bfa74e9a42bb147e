#include "base/log.h"

#include <pthread.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <deque>
#include <iterator>
#include <memory>
#include <mutex>

#include "base/error.h"

namespace hearth {
namespace {

constexpr std::size_t kMaxLines = 4096;

LogLevel FromSpdlog(spdlog::level::level_enum level) {
  if (level <= spdlog::level::debug) return LogLevel::kDebug;
  if (level == spdlog::level::info) return LogLevel::kInfo;
  if (level == spdlog::level::warn) return LogLevel::kWarning;
  return LogLevel::kError;
}

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

// Keeps the last lines. A sink that called Python instead would take the GIL under spdlog's lock.
class QueueSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  std::vector<LogLine> Drain() {
    std::lock_guard<std::mutex> lock(mutex_);
    std::vector<LogLine> lines;
    if (dropped_ > 0) {
      lines.push_back({LogLevel::kWarning, "log_lines_dropped count=" + std::to_string(dropped_)});
    }
    std::move(lines_.begin(), lines_.end(), std::back_inserter(lines));
    lines_.clear();
    dropped_ = 0;
    return lines;
  }

  // Around a fork: a child whose lock was held by a thread that it does not have could never log.
  void HoldForFork() { mutex_.lock(); }
  void ReleaseAfterFork() { mutex_.unlock(); }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (lines_.size() == kMaxLines) {
      lines_.pop_front();
      ++dropped_;
    }
    lines_.push_back(
        {FromSpdlog(message.level), std::string(message.payload.data(), message.payload.size())});
  }
  void flush_() override {}

 private:
  std::deque<LogLine> lines_;
  std::size_t dropped_ = 0;
};

struct Log {
  std::shared_ptr<QueueSink> sink = std::make_shared<QueueSink>();
  // Our own logger, in no registry: another user of spdlog in the process must not see it.
  spdlog::logger logger{"hearth", sink};
};

Log& TheLog();

Log* MakeLog() {
  ::pthread_atfork([] { TheLog().sink->HoldForFork(); }, [] { TheLog().sink->ReleaseAfterFork(); },
                   [] { TheLog().sink->ReleaseAfterFork(); });
  return new Log();  // leaked: threads may log while the process ends
}

Log& TheLog() {
  static Log* const log = MakeLog();
  return *log;
}

// A file's name may hold blanks, quotes and line ends: a value with any of them is quoted, so that
// a line stays one line and its fields can be told apart.
std::string Quoted(const std::string& value) {
  const auto is_plain = [](char letter) {
    return static_cast<unsigned char>(letter) > ' ' && letter != '"' && letter != '=' &&
           letter != '\x7f';
  };
  if (!value.empty() && std::all_of(value.begin(), value.end(), is_plain)) return value;
  std::string quoted = "\"";
  for (const char letter : value) {
    if (letter == '\n') {
      quoted += "\\n";
    } else if (static_cast<unsigned char>(letter) < ' ' || letter == '\x7f') {
      quoted += '?';
    } else {
      if (letter == '"' || letter == '\\') quoted += '\\';
      quoted += letter;
    }
  }
  return quoted + '"';
}

void Write(LogLevel level, std::string_view event, LogFields fields) {
  const spdlog::level::level_enum wanted = ToSpdlog(level);
  spdlog::logger& logger = TheLog().logger;
  if (!logger.should_log(wanted)) return;
  std::string line(event);
  for (const LogField& field : fields) {
    line.append(" ").append(field.first).append("=").append(Quoted(field.second));
  }
  logger.log(wanted, spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace

void LogDebug(std::string_view event, LogFields fields) { Write(LogLevel::kDebug, event, fields); }
void LogInfo(std::string_view event, LogFields fields) { Write(LogLevel::kInfo, event, fields); }
void LogWarning(std::string_view event, LogFields fields) {
  Write(LogLevel::kWarning, event, fields);
}
void LogError(std::string_view event, LogFields fields) { Write(LogLevel::kError, event, fields); }

void SetLogLevel(LogLevel level) { TheLog().logger.set_level(ToSpdlog(level)); }

LogLevel LogLevelFromString(std::string_view word) {
  if (word == "debug") return LogLevel::kDebug;
  if (word == "info") return LogLevel::kInfo;
  if (word == "warning") return LogLevel::kWarning;
  if (word == "error") return LogLevel::kError;
  throw ConfigError("/log/level",
                    "log level must be debug, info, warning or error, not " + std::string(word));
}

std::vector<LogLine> DrainLog() { return TheLog().sink->Drain(); }

}  // namespace hearth
