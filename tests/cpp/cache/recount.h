#ifndef HEARTH_TESTS_CACHE_RECOUNT_H_
#define HEARTH_TESTS_CACHE_RECOUNT_H_

#include <gtest/gtest.h>

#include "cache/model_cache.h"

namespace hearth {

// The cache keeps running totals; this counts every entry anew. REQUIRES: nobody uses the cache
// meanwhile.
inline void ExpectTotalsAreARecount(const ModelCache& cache) {
  CacheStats counted;
  for (const ResidentView& view : cache.Residents()) {
    if (view.lingering) {
      ++counted.lingering;
      counted.lingering_bytes = counted.lingering_bytes + view.bytes;
      continue;
    }
    ++counted.resident;
    counted.resident_bytes = counted.resident_bytes + view.bytes;
    if (CountsAsModel(view.key.kind)) ++counted.resident_models;
  }
  const CacheStats kept = cache.Stats();
  EXPECT_EQ(kept.resident, counted.resident);
  EXPECT_EQ(kept.resident_models, counted.resident_models);
  EXPECT_TRUE(kept.resident_bytes == counted.resident_bytes);
  EXPECT_EQ(kept.lingering, counted.lingering);
  EXPECT_TRUE(kept.lingering_bytes == counted.lingering_bytes);
}

}  // namespace hearth

#endif  // HEARTH_TESTS_CACHE_RECOUNT_H_
