#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "cache/eviction_policy.h"
#include "cache/model_cache.h"
#include "native/bind.h"
#include "native/manual_clock.h"
#include "native/python_cache.h"
#include "native/python_model.h"
#include "runtime/queue_executor.h"

namespace py = pybind11;

namespace hearth {
namespace {

using Released = py::call_guard<py::gil_scoped_release>;

struct NewCache {
  CacheLimits limits;
  std::string policy;
  std::optional<double> idle_seconds;
  std::shared_ptr<QueueExecutor> executor;
  std::shared_ptr<ManualClock> clock;
};

std::shared_ptr<ModelCache> MakeCache(const NewCache& wanted, std::size_t event_capacity) {
  std::shared_ptr<const Clock> clock = wanted.clock;
  if (!clock) clock = std::make_shared<SystemClock>();
  std::shared_ptr<Executor> executor = wanted.executor;
  if (!executor) executor = std::make_shared<InlineExecutor>();
  ModelCache::Parts parts;
  parts.limits = wanted.limits;
  parts.policy = MakeEvictionPolicy(wanted.policy, wanted.idle_seconds);
  parts.executor = std::move(executor);
  parts.events = std::make_shared<EventRing>(event_capacity, clock);
  parts.clock = std::move(clock);
  // The last reference may go on a thread that holds the GIL while residents need it elsewhere.
  return {new ModelCache(std::move(parts)), [](ModelCache* cache) {
            py::gil_scoped_release release;
            delete cache;
          }};
}

LoadRequest MakeRequest(const ModelKey& key, py::function loader, const py::dict& expected,
                        const py::kwargs& options) {
  RequireKnown(options, {"node", "prompt", "raise_when_busy"});
  LoadRequest request;
  request.key = key;
  request.loader = std::make_shared<PythonLoader>(std::move(loader));
  request.expected = TierBytesFromDict(expected);
  if (options.contains("node")) request.asker.node = py::str(options["node"]);
  if (options.contains("prompt")) request.asker.prompt = py::str(options["prompt"]);
  if (options.contains("raise_when_busy") && options["raise_when_busy"].cast<bool>()) {
    request.when_busy = WhenBusy::kThrow;
  }
  return request;
}

std::optional<PythonHandle> LookupModel(ModelCache& self, const ModelKey& key) {
  ModelHandle handle;
  {
    py::gil_scoped_release release;
    handle = self.Lookup(key);
  }
  if (!handle) return std::nullopt;
  return PythonHandle(std::move(handle));
}

PythonHandle AcquireModel(ModelCache& self, const ModelKey& key, py::function loader,
                          const py::dict& expected, const py::kwargs& options) {
  LoadRequest request = MakeRequest(key, std::move(loader), expected, options);
  ModelHandle handle;
  {
    py::gil_scoped_release release;
    handle = self.Acquire(request);
    request.loader.reset();
  }
  return PythonHandle(std::move(handle));
}

LoadTicket PrewarmModel(ModelCache& self, const ModelKey& key, py::function loader,
                        const py::dict& expected, const py::kwargs& options) {
  const LoadRequest request = MakeRequest(key, std::move(loader), expected, options);
  py::gil_scoped_release release;
  return self.Prewarm(request);
}

void BindLimits(py::module_& module) {
  py::class_<CacheLimits>(module, "CacheLimits", "What may stay; None is no limit of this sort.")
      .def(py::init([](bool enabled, std::optional<std::size_t> max_models,
                       std::optional<std::uint64_t> max_host_bytes,
                       std::optional<std::uint64_t> max_device_bytes,
                       std::uint64_t min_free_host_bytes, std::optional<double> idle_seconds,
                       std::optional<double> device_idle_seconds) {
             return CacheLimits{enabled,
                                max_models,
                                max_host_bytes,
                                max_device_bytes,
                                min_free_host_bytes,
                                idle_seconds,
                                device_idle_seconds};
           }),
           py::kw_only(), py::arg("enabled") = true, py::arg("max_models") = std::nullopt,
           py::arg("max_host_bytes") = std::nullopt, py::arg("max_device_bytes") = std::nullopt,
           py::arg("min_free_host_bytes") = 0, py::arg("idle_seconds") = std::nullopt,
           py::arg("device_idle_seconds") = std::nullopt)
      .def_readwrite("enabled", &CacheLimits::enabled)
      .def_readwrite("max_models", &CacheLimits::max_models)
      .def_readwrite("max_host_bytes", &CacheLimits::max_host_bytes)
      .def_readwrite("max_device_bytes", &CacheLimits::max_device_bytes)
      .def_readwrite("min_free_host_bytes", &CacheLimits::min_free_host_bytes)
      .def_readwrite("idle_seconds", &CacheLimits::idle_seconds)
      .def_readwrite("device_idle_seconds", &CacheLimits::device_idle_seconds);
}

void BindConstruction(py::module_& module, PythonCacheClass& cache) {
  py::class_<ManualClock, std::shared_ptr<ManualClock>>(module, "ManualClock",
                                                        "A clock that is moved by hand.")
      .def(py::init<>())
      .def("advance", &ManualClock::Advance, py::arg("seconds"))
      .def_property_readonly("now", &ManualClock::UnixSeconds);
  cache.def(py::init([](const CacheLimits& limits, std::string policy,
                        std::optional<double> idle_seconds, std::shared_ptr<QueueExecutor> executor,
                        std::shared_ptr<ManualClock> clock, std::size_t event_capacity) {
              return MakeCache(
                  {limits, std::move(policy), idle_seconds, std::move(executor), std::move(clock)},
                  event_capacity);
            }),
            py::arg("limits"), py::arg("policy") = "lru", py::kw_only(),
            py::arg("idle_seconds") = std::nullopt, py::arg("executor") = nullptr,
            py::arg("clock") = nullptr, py::arg("event_capacity") = 1024);
}

void BindUse(PythonCacheClass& cache) {
  cache.def("lookup", &LookupModel, py::arg("key"))
      .def("acquire", &AcquireModel, py::arg("key"), py::arg("loader"),
           py::arg("expected") = py::dict(),
           "The model, loaded first if absent. Keywords: node, prompt, raise_when_busy.")
      .def("prewarm", &PrewarmModel, py::arg("key"), py::arg("loader"),
           py::arg("expected") = py::dict(), "Starts the load that acquire() would do.")
      .def("record_use", &ModelCache::RecordUse, py::arg("key"), py::arg("strong") = true,
           Released())
      .def(
          "update_bytes",
          [](ModelCache& self, const ModelKey& key, const py::dict& bytes) {
            const TierBytes tiers = TierBytesFromDict(bytes);
            py::gil_scoped_release release;
            self.UpdateBytes(key, tiers);
          },
          py::arg("key"), py::arg("bytes"));
}

void BindRemoval(PythonCacheClass& cache) {
  cache.def("pin", &ModelCache::Pin, py::arg("key"), Released())
      .def("unpin", &ModelCache::Unpin, py::arg("key"), Released())
      .def("keep_alive", &ModelCache::KeepAlive, py::arg("key"), py::arg("seconds"), Released(),
           "Gives the slot an idle time of its own; None: as configured.")
      .def("erase", &ModelCache::Erase, py::arg("key"), py::arg("reason"), Released())
      .def("erase_by_name", &ModelCache::EraseByName, py::arg("name"), py::arg("reason"),
           Released())
      .def(
          "trim",
          [](ModelCache& self, std::uint64_t host_bytes, std::uint64_t device_bytes,
             const std::string& reason) {
            TierBytes freed;
            {
              py::gil_scoped_release release;
              freed = self.Trim(host_bytes, device_bytes, reason);
            }
            return ToDict(freed);
          },
          py::arg("host_bytes"), py::arg("device_bytes"), py::arg("reason"))
      .def("enforce", &ModelCache::Enforce, Released())
      .def("seconds_to_next_expiry", &ModelCache::SecondsToNextExpiry, Released())
      .def("lingering_gone", &ModelCache::LingeringGone, py::arg("key"), Released())
      .def("free_lingering", &ModelCache::FreeLingering, py::arg("key") = std::nullopt, Released())
      .def("set_limits", &ModelCache::SetLimits, py::arg("limits"), Released())
      .def(
          "set_policy",
          [](ModelCache& self, const std::string& name, std::optional<double> idle_seconds) {
            self.SetPolicy(MakeEvictionPolicy(name, idle_seconds));
          },
          py::arg("name"), py::arg("idle_seconds") = std::nullopt, Released())
      .def_property_readonly("limits", &ModelCache::limits)
      .def("shutdown", &ModelCache::Shutdown, py::arg("release"), Released());
}

}  // namespace

void BindCache(py::module_& module) {
  BindLimits(module);
  BindHandles(module);
  PythonCacheClass cache(module, "ModelCache",
                         "Keeps loaded models so that a second request pays no load.");
  BindConstruction(module, cache);
  BindUse(cache);
  BindRemoval(cache);
  BindCacheReports(cache);
}

}  // namespace hearth
