// What the cache says of itself, as plain dicts and lists.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <utility>
#include <vector>

#include "native/python_cache.h"
#include "native/python_model.h"

namespace py = pybind11;

namespace hearth {
namespace {

py::dict ToDict(const CacheStats& stats) {
  using namespace py::literals;
  return py::dict("hits"_a = stats.hits, "misses"_a = stats.misses, "loads"_a = stats.loads,
                  "load_failures"_a = stats.load_failures, "evictions"_a = stats.evictions,
                  "demotions"_a = stats.demotions, "erasures"_a = stats.erasures,
                  "reloads"_a = stats.reloads, "served_uncached"_a = stats.served_uncached,
                  "reclaims"_a = stats.reclaims, "busy"_a = stats.busy,
                  "resident"_a = stats.resident, "resident_models"_a = stats.resident_models,
                  "in_use"_a = stats.in_use, "pinned"_a = stats.pinned,
                  "lingering"_a = stats.lingering, "loading"_a = stats.loading,
                  "resident_bytes"_a = ToDict(stats.resident_bytes),
                  "lingering_bytes"_a = ToDict(stats.lingering_bytes));
}

py::dict ToDict(const ResidentView& view) {
  using namespace py::literals;
  return py::dict("name"_a = view.key.name, "kind"_a = ToString(view.key.kind),
                  "loader"_a = view.key.loader, "options"_a = view.key.options,
                  "bytes"_a = ToDict(view.bytes), "idle_seconds"_a = view.idle_seconds,
                  "resident_seconds"_a = view.resident_seconds, "uses"_a = view.uses,
                  "in_use"_a = view.in_use, "pinned"_a = view.pinned,
                  "keep_alive_seconds"_a = view.keep_alive_seconds, "lingering"_a = view.lingering,
                  "key"_a = view.key);
}

py::dict ToDict(const CacheEvent& event) {
  using namespace py::literals;
  return py::dict("sequence"_a = event.sequence, "unix_seconds"_a = event.unix_seconds,
                  "kind"_a = ToString(event.kind), "model"_a = event.model,
                  "loader"_a = event.loader, "reason"_a = event.reason, "node"_a = event.asker.node,
                  "prompt"_a = event.asker.prompt, "bytes"_a = ToDict(event.bytes),
                  "ms"_a = event.ms);
}

template <typename Value>
py::list ToList(const std::vector<Value>& values) {
  py::list list;
  for (const Value& value : values) list.append(ToDict(value));
  return list;
}

py::dict Stats(const ModelCache& self) {
  CacheStats stats;
  {
    py::gil_scoped_release release;
    stats = self.Stats();
  }
  return ToDict(stats);
}

py::list Residents(const ModelCache& self) {
  std::vector<ResidentView> residents;
  {
    py::gil_scoped_release release;
    residents = self.Residents();
  }
  return ToList(residents);
}

py::list Events(const ModelCache& self, std::uint64_t after, std::size_t max) {
  std::vector<CacheEvent> events;
  {
    py::gil_scoped_release release;
    events = self.events().Since(after, max);
  }
  return ToList(events);
}

std::uint64_t Note(const ModelCache& self, const std::string& kind, const py::kwargs& fields) {
  RequireKnown(fields, {"model", "loader", "reason", "node", "prompt", "bytes", "ms"});
  const auto text = [&fields](const char* name) {
    return fields.contains(name) ? std::string(py::str(fields[name])) : std::string();
  };
  CacheEvent event;
  event.kind = EventKindFromString(kind);
  event.model = text("model");
  event.loader = text("loader");
  event.reason = text("reason");
  event.asker = {text("node"), text("prompt")};
  if (fields.contains("bytes")) event.bytes = TierBytesFromDict(py::dict(fields["bytes"]));
  if (fields.contains("ms")) event.ms = fields["ms"].cast<double>();
  return self.events().Append(std::move(event));
}

}  // namespace

void BindCacheReports(PythonCacheClass& cache) {
  cache.def("stats", &Stats, "Counters and byte sums.")
      .def("residents", &Residents, "One dict a model: resident first, then lingering.")
      .def("events", &Events, py::arg("after") = 0, py::arg("max") = 1000,
           "Events with a sequence above `after`, oldest first.")
      .def("note", &Note, py::arg("kind"),
           "Appends an event. Keywords: model, loader, reason, node, prompt, bytes, ms.");
}

}  // namespace hearth
