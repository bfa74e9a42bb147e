#ifndef HEARTH_ZIMAGE_EMBEDDING_CACHE_H_
#define HEARTH_ZIMAGE_EMBEDDING_CACHE_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "zimage/text_encoder.h"

namespace hearth {

struct EmbeddingCacheStats {
  std::size_t entries = 0;
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
};

// The embeddings of the last prompts, by the encoder's identity and the prompt's tokens: a prompt
// that comes again needs no text encoder. Thread-safe.
class EmbeddingCache {
 public:
  // REQUIRES: max_entries > 0.
  explicit EmbeddingCache(std::size_t max_entries) : max_entries_(max_entries) {}

  // What `encoder.Encode` gives for one prompt: 1 x tokens x width. Not to be written to; others
  // have it too. Computed without the lock: two threads with one new prompt compute it twice.
  at::Tensor Encode(const TextEncoder& encoder, const std::vector<std::int64_t>& tokens)
      HEARTH_EXCLUDES(mutex_);
  EmbeddingCacheStats stats() const HEARTH_EXCLUDES(mutex_);

 private:
  struct Entry {
    std::string encoder;
    std::vector<std::int64_t> tokens;
    at::Tensor embedding;
  };

  const std::size_t max_entries_;
  mutable Mutex mutex_;
  std::list<Entry> entries_ HEARTH_GUARDED_BY(mutex_);  // last used first
  EmbeddingCacheStats stats_ HEARTH_GUARDED_BY(mutex_);
};

}  // namespace hearth

#endif  // HEARTH_ZIMAGE_EMBEDDING_CACHE_H_
