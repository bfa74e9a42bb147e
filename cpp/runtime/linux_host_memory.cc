#include "runtime/linux_host_memory.h"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

namespace hearth {
namespace {

// The value behind `key` in a file of "key value [unit]" lines, times `scale`.
std::optional<std::uint64_t> ReadField(const std::string& path, const std::string& key,
                                       std::uint64_t scale) {
  std::ifstream file(path);
  std::string word;
  std::string rest;
  std::uint64_t value = 0;
  while (file >> word) {
    if (word == key && file >> value) return value * scale;
    std::getline(file, rest);
  }
  return std::nullopt;
}

// The one number in a file; nullopt for "max", a missing file, or v1's "no limit".
std::optional<std::uint64_t> ReadNumber(const std::string& path) {
  constexpr std::uint64_t kNoLimitInV1 = std::uint64_t{1} << 62;
  std::ifstream file(path);
  std::uint64_t value = 0;
  if (!(file >> value) || value >= kNoLimitInV1) return std::nullopt;
  return value;
}

struct GroupFiles {
  std::string folder;
  std::string limit;
  std::string usage;
  std::string prefix;  // of the keys in memory.stat that are about the group and those below
};

// The process's own group and its ancestors: a limit anywhere above binds as well.
std::vector<GroupFiles> MemoryGroups(const std::string& root) {
  std::vector<GroupFiles> groups;
  std::ifstream file(root + "/proc/self/cgroup");
  std::string line;
  while (std::getline(file, line)) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool v2 = controllers.empty();
    if (!v2 && controllers.find("memory") == std::string::npos) continue;
    const std::string base = root + (v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory");
    std::string path = line.substr(second + 1);
    while (true) {
      if (path == "/") path.clear();
      groups.push_back(v2 ? GroupFiles{base + path, "/memory.max", "/memory.current", ""}
                          : GroupFiles{base + path, "/memory.limit_in_bytes",
                                       "/memory.usage_in_bytes", "total_"});
      if (path.empty()) break;
      path.erase(path.rfind('/'));
    }
  }
  return groups;
}

void ApplyGroup(const GroupFiles& group, HostMemory& memory) {
  const auto limit = ReadNumber(group.folder + group.limit);
  const auto usage = ReadNumber(group.folder + group.usage);
  if (!limit || !usage) return;
  // Page cache counts as usage of the group but is given back without swapping. All of it, as in
  // MemAvailable: a file that was read twice is active, and to spare it a model would have to go.
  const std::string stat = group.folder + "/memory.stat";
  const std::uint64_t cached = ReadField(stat, group.prefix + "inactive_file", 1).value_or(0) +
                               ReadField(stat, group.prefix + "active_file", 1).value_or(0);
  const std::uint64_t busy = *usage > cached ? *usage - cached : 0;
  const std::uint64_t free = *limit > busy ? *limit - busy : 0;
  memory.total = std::min(memory.total, *limit);
  memory.available = std::min(memory.available, free);
}

}  // namespace

LinuxHostMemory::LinuxHostMemory(std::string root) : root_(std::move(root)) {}

HostMemory LinuxHostMemory::Read() const noexcept {
  try {
    constexpr std::uint64_t kKib = 1024;
    const std::string meminfo = root_ + "/proc/meminfo";
    HostMemory memory{ReadField(meminfo, "MemTotal:", kKib).value_or(0),
                      ReadField(meminfo, "MemAvailable:", kKib).value_or(0)};
    for (const GroupFiles& group : MemoryGroups(root_)) ApplyGroup(group, memory);
    return memory;
  } catch (const std::exception&) {
    return {};  // out of memory while asking how much there is: nothing is free
  }
}

}  // namespace hearth
