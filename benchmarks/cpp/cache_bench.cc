// What the cache itself costs, without any model: one JSON object a line. Reports, never asserts.
#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cache/model_cache.h"

#ifndef HEARTH_BUILD_TYPE
#define HEARTH_BUILD_TYPE "unknown"
#endif

namespace hearth {
namespace {

constexpr std::size_t kResidents = 10'000;
constexpr int kRounds = 5;  // the best is reported: the others were disturbed

class NoModel final : public Resident {
 public:
  ReleaseOutcome Release() noexcept override { return {}; }
};

class NoLoader final : public ModelLoader {
 public:
  LoadedModel Load(const ModelKey&) override {
    return {std::make_unique<NoModel>(), {0, 1 << 20, 0, 0}};
  }
};

// As long as real ones: a loader class, a file name, the inputs, a path and a modification time.
ModelKey Key(std::size_t number) {
  const std::string text = std::to_string(number);
  return {ModelKind::kDiffusionModel, "UNETLoader", "z_image_turbo_bf16_" + text + ".safetensors",
          R"({"weight_dtype":"default","devices":"cuda:0,cpu"})",
          "/models/diffusion_models/" + text + ".safetensors:12309866400:1763700000000000000:42"};
}

LoadRequest Request(std::size_t number) {
  static const auto loader = std::make_shared<NoLoader>();
  return {Key(number), loader, {0, 1 << 20, 0, 0}, {}, WhenBusy::kServeUncached};
}

std::unique_ptr<ModelCache> MakeCache(std::size_t max_models) {
  const auto clock = std::make_shared<const SystemClock>();
  ModelCache::Parts parts;
  parts.limits.max_models = max_models;
  parts.policy = MakeEvictionPolicy("lru", std::nullopt);
  parts.executor = std::make_shared<InlineExecutor>();
  parts.clock = clock;
  parts.events = std::make_shared<EventRing>(1024, clock);
  return std::make_unique<ModelCache>(std::move(parts));
}

struct Cost {
  double wall_seconds = 1e9;
  double cpu_seconds = 1e9;  // of all threads; what a busy machine leaves untouched
};

double CpuSeconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

// What `threads` take for `each(thread, i)`, `count` times on each; the best of a few
// rounds.
template <typename Each>
Cost BestOf(std::size_t threads, std::size_t count, Each each) {
  Cost best;
  for (int round = 0; round < kRounds; ++round) {
    std::barrier start(static_cast<std::ptrdiff_t>(threads) + 1);
    std::vector<std::thread> workers;
    for (std::size_t id = 0; id < threads; ++id) {
      workers.emplace_back([&, id] {
        start.arrive_and_wait();
        for (std::size_t i = 0; i < count; ++i) each(id, i);
      });
    }
    start.arrive_and_wait();
    const auto begin = std::chrono::steady_clock::now();
    const double cpu_begin = CpuSeconds();
    for (std::thread& worker : workers) worker.join();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    best.wall_seconds = std::min(best.wall_seconds, took.count());
    best.cpu_seconds = std::min(best.cpu_seconds, CpuSeconds() - cpu_begin);
  }
  return best;
}

void Report(const char* what, std::size_t threads, std::size_t count, const Cost& cost) {
  const double calls = static_cast<double>(threads * count);
  std::printf(
      "{\"benchmark\":\"%s\",\"threads\":%zu,\"ns_per_call\":%.0f,\"cpu_ns_per_call\":%.0f,"
      "\"calls_per_second\":%.0f,\"compiler\":\"%s\",\"build_type\":\"%s\",\"cores\":%u}\n",
      what, threads, cost.wall_seconds * 1e9 / static_cast<double>(count),
      cost.cpu_seconds * 1e9 / calls, calls / cost.wall_seconds, __VERSION__, HEARTH_BUILD_TYPE,
      std::thread::hardware_concurrency());
  std::fflush(stdout);
}

void MeasureHits() {
  const std::unique_ptr<ModelCache> cache = MakeCache(kResidents);
  std::vector<LoadRequest> requests;
  for (std::size_t i = 0; i < kResidents; ++i) {
    requests.push_back(Request(i));
    (void)cache->Acquire(requests.back());
  }
  constexpr std::size_t kCount = 500'000;
  // One model again and again, as ComfyUI asks; and all in an order that no cache of the CPU holds.
  const auto same = [](std::size_t thread, std::size_t) { return thread * 5003; };
  const auto scattered = [](std::size_t thread, std::size_t i) {
    return (i * 7919 + thread * 5003) % kResidents;
  };
  const auto lookup = [&](const char* what, std::size_t threads, auto choose) {
    const Cost cost = BestOf(threads, kCount, [&](std::size_t thread, std::size_t i) {
      if (!cache->Lookup(requests[choose(thread, i)].key)) std::abort();
    });
    Report(what, threads, kCount, cost);
  };
  for (const std::size_t threads : {1, 2}) lookup("lookup_hit_of_10000", threads, same);
  for (const std::size_t threads : {1, 2}) lookup("lookup_hit_scattered", threads, scattered);
  const Cost cost = BestOf(1, kCount, [&](std::size_t thread, std::size_t i) {
    (void)cache->Acquire(requests[same(thread, i)]);
  });
  Report("acquire_hit_of_10000", 1, kCount, cost);
}

void MeasureEviction(std::size_t max_models, const char* what) {
  const std::unique_ptr<ModelCache> cache = MakeCache(max_models);
  std::vector<LoadRequest> requests;
  for (std::size_t i = 0; i < 2 * max_models; ++i) requests.push_back(Request(i));
  const std::size_t count = 20'000;
  const Cost cost = BestOf(1, count, [&](std::size_t, std::size_t i) {
    (void)cache->Acquire(requests[i % requests.size()]);  // each one was evicted before
  });
  Report(what, 1, count, cost);
}

}  // namespace
}  // namespace hearth

int main() {
  hearth::MeasureHits();
  hearth::MeasureEviction(3, "evict_and_load_of_3");
  hearth::MeasureEviction(100, "evict_and_load_of_100");
  return 0;
}
