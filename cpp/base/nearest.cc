#include "base/nearest.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

namespace hearth {
namespace {

constexpr std::size_t kLongestWord = 128;  // beyond it nobody mistyped a key
constexpr std::size_t kFar = std::numeric_limits<std::size_t>::max();

std::string InLowerCase(std::string_view word) {
  std::string lower(word);
  for (char& letter : lower) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  }
  return lower;
}

// Optimal string alignment distance (Damerau-Levenshtein with adjacent swaps).
std::size_t Distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + change});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

std::vector<std::string_view> Parts(std::string_view word) {
  std::vector<std::string_view> parts;
  while (!word.empty()) {
    const std::size_t end = std::min(word.find('_'), word.size());
    if (end > 0) parts.push_back(word.substr(0, end));
    word.remove_prefix(std::min(end + 1, word.size()));
  }
  return parts;
}

std::size_t WholeDistance(std::string_view word, std::string_view candidate) {
  const std::size_t distance = Distance(word, candidate);
  return distance <= std::max<std::size_t>(word.size() / 3, 1) ? distance : kFar;
}

// Short parts must be right: with one letter off, "ram" would be near "vram" and "max" near "mac".
std::size_t PartsDistance(std::string_view word, std::string_view candidate) {
  const std::vector<std::string_view> wanted = Parts(word);
  if (wanted.empty()) return kFar;
  std::size_t sum = 0;
  for (const std::string_view part : wanted) {
    std::size_t best = kFar;
    for (const std::string_view other : Parts(candidate)) {
      best = std::min(best, Distance(part, other));
    }
    if (best > (part.size() < 4 ? 0 : part.size() / 3)) return kFar;
    sum += best;
  }
  return sum;
}

std::string Best(std::string_view word, std::span<const std::string> candidates,
                 std::size_t (*distance_of)(std::string_view, std::string_view)) {
  std::string nearest;
  std::size_t best = kFar;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = distance_of(word, InLowerCase(candidate));
    const bool is_shorter = candidate.size() < nearest.size();
    if (distance < best || (distance == best && is_shorter)) {
      best = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

}  // namespace

std::string NearestWord(std::string_view word, std::span<const std::string> candidates) {
  if (word.empty() || word.size() > kLongestWord) return {};
  const std::string lower = InLowerCase(word);
  std::string nearest = Best(lower, candidates, &WholeDistance);
  return nearest.empty() ? Best(lower, candidates, &PartsDistance) : nearest;
}

}  // namespace hearth
