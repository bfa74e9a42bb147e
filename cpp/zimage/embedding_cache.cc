#include "zimage/embedding_cache.h"

#include <ATen/ops/tensor.h>

#include <algorithm>
#include <utility>

namespace hearth {

at::Tensor EmbeddingCache::Encode(const TextEncoder& encoder,
                                  const std::vector<std::int64_t>& tokens) {
  {
    MutexLock lock(mutex_);
    const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
      return entry.encoder == encoder.identity() && entry.tokens == tokens;
    });
    if (found != entries_.end()) {
      ++stats_.hits;
      entries_.splice(entries_.begin(), entries_, found);
      return found->embedding;
    }
    ++stats_.misses;
  }
  at::Tensor embedding = encoder.Encode(at::tensor(tokens, at::kLong).unsqueeze(0));
  MutexLock lock(mutex_);
  entries_.push_front({encoder.identity(), tokens, embedding});
  if (entries_.size() > max_entries_) entries_.pop_back();
  return embedding;
}

EmbeddingCacheStats EmbeddingCache::stats() const {
  MutexLock lock(mutex_);
  EmbeddingCacheStats stats = stats_;
  stats.entries = entries_.size();
  return stats;
}

}  // namespace hearth
