// docs/unload.md: what becomes of a model that is idle, in use, pinned, or held by a workflow. The
// words of kRows are the table of that page; a test of the documents compares them.
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <ostream>
#include <string>

#include "fakes/cache_fixture.h"

namespace hearth {
namespace {

constexpr char kGoes[] = "goes";
constexpr char kStays[] = "stays";
constexpr char kAfterUse[] = "goes when its use ends";
constexpr char kAtOnce[] = "leaves the cache; memory when its use ends";
constexpr char kUnpinned[] = "goes when it is unpinned";
constexpr char kLingers[] = "lingers";
constexpr char kNewTime[] = "its time begins when its use ends";

constexpr char kGivesVram[] = "gives its VRAM back and stays";
constexpr char kGivesLater[] = "the same when its use ends";
constexpr char kGivesUnpinned[] = "the same when it is unpinned";

constexpr double kIdleSeconds = 60;

class Scene : public CacheTest {
 public:
  void TestBody() override {}
  void Begin() {
    probe_ = std::make_shared<FakeMemoryProbe>(1000);
    Make({});
  }
  ModelCache& cache() { return *cache_; }
  ManualClock& clock() { return *clock_; }
  FakeMemoryProbe& machine() { return *probe_; }
  bool IsResident() const { return ResidentNames().find('m') != std::string::npos; }
  // As ComfyUI's worker does between two prompts.
  void Gap() { cache_->Enforce(); }
};

void LowerCount(Scene& s) { s.cache().SetLimits({.max_models = 0}); }
void LowerRam(Scene& s) { s.cache().SetLimits({.max_host_bytes = 1}); }
void LowerVram(Scene& s) { s.cache().SetLimits({.max_device_bytes = 1}); }
void LetIdle(Scene& s) {
  s.cache().SetLimits({.idle_seconds = kIdleSeconds});
  s.clock().Advance(kIdleSeconds);
}
void TurnOff(Scene& s) { s.cache().SetLimits({.enabled = false}); }
void LowerCountWithoutEviction(Scene& s) {
  s.cache().SetPolicy(MakeEvictionPolicy("noeviction", std::nullopt));
  LowerCount(s);
}
void LowerCountWhereOnlyIdleGo(Scene& s) {
  s.cache().SetPolicy(MakeEvictionPolicy("idle", 1e6));
  LowerCount(s);
}
void TakeRam(Scene& s) {
  s.cache().SetLimits({.min_free_host_bytes = 20});
  s.machine().Take(985);
}
void AskForAnother(Scene& s) {
  s.cache().SetLimits({.max_models = 1});
  (void)s.cache().Acquire(Request(Key("n"), Loader()));
}
void TrimAll(Scene& s) { s.cache().Trim(1 << 30, 1 << 30, "asked for"); }
void TrimVram(Scene& s) { s.cache().Trim(0, 1 << 30, "asked for"); }
void EvictByName(Scene& s) { s.cache().EraseByName("m", "asked for"); }
void ChangeFile(Scene& s) {
  (void)s.cache().Acquire(Request(Key("m", "2"), Loader()));
  s.cache().Erase(Key("m", "2"), "only the old one is looked at");
}
void End(Scene& s) { s.cache().Shutdown(true); }

struct Row {
  const char* what;
  const char* idle;
  const char* in_use;
  const char* pinned;
  const char* held;
  void (*happens)(Scene&);
};
void PrintTo(const Row& row, std::ostream* out) { *out << row.what; }

// clang-format off
const Row kRows[] = {
    {"`max_cached_models` lowered", kGoes, kAfterUse, kUnpinned, kLingers, LowerCount},
    {"`budget.ram_gib` lowered", kGoes, kAfterUse, kUnpinned, kLingers, LowerRam},
    {"`budget.vram_gib` lowered", kGivesVram, kGivesLater, kGivesUnpinned, kGivesVram, LowerVram},
    {"GPU memory did not suffice for a node", kGivesVram, kStays, kStays, kGivesVram, TrimVram},
    {"a limit lowered, policy `noeviction`", kStays, kStays, kStays, kStays, LowerCountWithoutEviction},
    {"a limit lowered, policy `idle`, not idle so long", kStays, kStays, kStays, kStays, LowerCountWhereOnlyIdleGo},
    {"another model needs its place", kGoes, kStays, kStays, kLingers, AskForAnother},
    {"free RAM below `budget.keep_free_ram_gib`", kGoes, kAfterUse, kUnpinned, kLingers, TakeRam},
    {"`unload.idle_seconds` over", kGoes, kNewTime, kUnpinned, kLingers, LetIdle},
    {"`keep_model_in_memory` turned off", kGoes, kAtOnce, kGoes, kLingers, TurnOff},
    {"`/free`, `POST /hearth/evict` of all, RAM did not suffice for a node", kGoes, kStays, kStays, kLingers, TrimAll},
    {"`POST /hearth/evict` by name", kGoes, kAtOnce, kGoes, kLingers, EvictByName},
    {"its file has changed and was loaded anew", kGoes, kAtOnce, kGoes, kLingers, ChangeFile},
    {"ComfyUI ends, `unload_on_exit`", kGoes, kAtOnce, kGoes, kLingers, End},
};
// clang-format on

class UnloadTable : public ::testing::TestWithParam<Row> {
 protected:
  UnloadTable() { scene_.Begin(); }

  // The one model that is looked at: 10 bytes of RAM and 10 of VRAM, with a host tier below it.
  void Load(bool lingers = false) {
    loader_ = Loader(
        {.bytes = {0, 10, 0, 10}, .has_host_tier = true, .lingers = lingers, .lets_go = false});
    (void)scene_.cache().Acquire(Request(Key("m"), loader_));
  }
  bool Released() const { return loader_->log().releases > 0; }
  bool Gone() const { return !scene_.IsResident() && Released(); }
  bool Demoted() const { return scene_.IsResident() && loader_->log().demotions > 0; }
  const char* Outcome(const char* gone, const char* demoted) const {
    if (Gone()) return gone;
    return Demoted() ? demoted : kStays;
  }

  Scene scene_;
  LoaderPtr loader_;
};

TEST_P(UnloadTable, Idle) {
  Load();
  GetParam().happens(scene_);
  scene_.Gap();
  EXPECT_STREQ(Outcome(kGoes, kGivesVram), GetParam().idle);
}

TEST_P(UnloadTable, InUse) {
  Load();
  std::optional<ModelHandle> use = scene_.cache().Lookup(Key("m"));
  GetParam().happens(scene_);
  scene_.Gap();
  EXPECT_FALSE(Released() || Demoted()) << "nothing is taken from under a prompt that runs";
  const bool left = !scene_.IsResident();
  use.reset();
  scene_.Gap();
  const char* found = Outcome(left ? kAtOnce : kAfterUse, kGivesLater);
  if (found == kStays && scene_.cache().SecondsToNextExpiry()) {
    scene_.clock().Advance(*scene_.cache().SecondsToNextExpiry());
    scene_.Gap();
    if (Gone()) found = kNewTime;
  }
  EXPECT_STREQ(found, GetParam().in_use);
}

TEST_P(UnloadTable, Pinned) {
  Load();
  scene_.cache().Pin(Key("m"));
  GetParam().happens(scene_);
  scene_.Gap();
  const bool went = Gone();
  EXPECT_FALSE(Demoted()) << "a pin holds in VRAM too";
  scene_.cache().Unpin(Key("m"));
  scene_.Gap();
  EXPECT_STREQ(went ? kGoes : Outcome(kUnpinned, kGivesUnpinned), GetParam().pinned);
}

TEST_P(UnloadTable, HeldByAWorkflow) {
  Load(true);
  GetParam().happens(scene_);
  scene_.Gap();
  const bool lingers = scene_.cache().Stats().lingering == 1 && Released();
  EXPECT_STREQ(lingers ? kLingers : Outcome(kGoes, kGivesVram), GetParam().held);
}

INSTANTIATE_TEST_SUITE_P(Rows, UnloadTable, ::testing::ValuesIn(kRows));

}  // namespace
}  // namespace hearth
