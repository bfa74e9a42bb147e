#ifndef HEARTH_TESTS_FAKES_FAKE_MODEL_H_
#define HEARTH_TESTS_FAKES_FAKE_MODEL_H_

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "fakes/fake_memory_probe.h"
#include "model/model_loader.h"

namespace hearth {

// What happened to one fake model; outlives it.
struct FakeModelLog {
  std::atomic<int> loads = 0;
  std::atomic<int> releases = 0;
  std::atomic<int> demotions = 0;
  std::atomic<int> reclaims = 0;
  std::atomic<int> asked = 0;  // to let go
  std::atomic<int> destroyed = 0;
  std::atomic<std::thread::id> load_thread;
  std::atomic<std::thread::id> release_thread;
};

// How a fake model behaves.
struct FakeModelPlan {
  TierBytes bytes{0, 10, 0, 0};
  bool has_host_tier = false;    // its device memory can go alone
  bool lingers = false;          // a workflow holds it when it is released
  bool reclaimable = true;       // and all of it is still there
  bool lets_go = true;           // and the workflow lets go when asked
  std::string failure;           // the load throws this, if not empty
  std::function<void()> during;  // run in mid-load: a gate, or a nested call
  std::function<void()> during_release;
  std::shared_ptr<FakeMemoryProbe> machine;
};

class FakeResident final : public Resident {
 public:
  FakeResident(std::shared_ptr<FakeModelLog> log, FakeModelPlan plan)
      : log_(std::move(log)), plan_(std::move(plan)) {}
  ~FakeResident() override { ++log_->destroyed; }

  ReleaseOutcome Release() noexcept override {
    ++log_->releases;
    log_->release_thread = std::this_thread::get_id();
    if (plan_.during_release) plan_.during_release();
    if (plan_.lingers) return {plan_.bytes, true};
    GiveBack();
    return {};
  }
  std::optional<TierBytes> Demote() noexcept override {
    if (!plan_.has_host_tier) return std::nullopt;
    ++log_->demotions;
    TierBytes left = plan_.bytes;
    left.device = 0;
    return left;
  }
  bool Reclaim() noexcept override {
    if (plan_.reclaimable) ++log_->reclaims;
    return plan_.reclaimable;
  }
  ReleaseOutcome FreeLingering() noexcept override {
    ++log_->asked;
    if (!plan_.lets_go) return {plan_.bytes, true};
    GiveBack();
    return {};
  }

 private:
  void GiveBack() {
    if (plan_.machine) plan_.machine->GiveBack(plan_.bytes.host());
  }

  std::shared_ptr<FakeModelLog> log_;
  FakeModelPlan plan_;
};

class FakeLoader final : public ModelLoader {
 public:
  explicit FakeLoader(FakeModelPlan plan = {})
      : plan_(std::move(plan)),
        failure_(std::make_exception_ptr(std::runtime_error(plan_.failure))) {}
  LoadedModel Load(const ModelKey&) override {
    ++log_->loads;
    log_->load_thread = std::this_thread::get_id();
    if (plan_.during) plan_.during();
    if (!plan_.failure.empty()) std::rethrow_exception(failure_);
    if (plan_.machine) plan_.machine->Take(plan_.bytes.host());
    return {std::make_unique<FakeResident>(log_, plan_), plan_.bytes};
  }
  const FakeModelLog& log() const { return *log_; }
  FakeModelPlan& plan() { return plan_; }

 private:
  FakeModelPlan plan_;
  // Kept here so that the last reference goes with the loader: ThreadSanitizer does not see how
  // libstdc++ counts them, and would call it a race if a waiter's were the last.
  std::exception_ptr failure_;
  std::shared_ptr<FakeModelLog> log_ = std::make_shared<FakeModelLog>();
};

}  // namespace hearth

#endif  // HEARTH_TESTS_FAKES_FAKE_MODEL_H_
