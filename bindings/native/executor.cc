#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "native/bind.h"
#include "native/python_model.h"
#include "runtime/queue_executor.h"

namespace py = pybind11;

namespace hearth {
namespace {

// A Python callable as a C++ job: takes the GIL when it runs, and reports what it raises as Python
// reports errors of destructors, because a job has no caller.
std::function<void()> JobFrom(py::object call) {
  if (call.is_none()) return {};
  return [call = ShareAcrossThreads(std::move(call))] {
    py::gil_scoped_acquire gil;
    try {
      (*call)();
    } catch (py::error_already_set& error) {
      error.discard_as_unraisable("hearth executor job");
    }
  };
}

}  // namespace

void BindExecutor(py::module_& module) {
  using Released = py::call_guard<py::gil_scoped_release>;
  py::class_<QueueExecutor, std::shared_ptr<QueueExecutor>>(
      module, "QueueExecutor", "Jobs that run where run_pending() is called.")
      .def(py::init([](py::object wake) {
             return std::make_shared<QueueExecutor>(JobFrom(std::move(wake)));
           }),
           py::arg("wake") = py::none())
      .def(
          "set_wake",
          [](QueueExecutor& self, py::object wake) { self.SetWake(JobFrom(std::move(wake))); },
          py::arg("wake"))
      .def(
          "post",
          [](QueueExecutor& self, py::function job) {
            std::function<void()> call = JobFrom(std::move(job));
            py::gil_scoped_release release;
            return self.Post(std::move(call));
          },
          py::arg("job"), "Queues a callable; False when the executor is closed.")
      .def("adopt_current_thread", &QueueExecutor::AdoptCurrentThread, Released())
      .def("is_current", &QueueExecutor::IsCurrent, Released())
      .def("run_pending", &QueueExecutor::RunPending, py::arg("budget_seconds") = std::nullopt,
           Released(), "Runs the queued jobs on this thread; returns how many.")
      .def_property_readonly("has_pending", &QueueExecutor::has_pending)
      .def("close", &QueueExecutor::Close, Released());
}

}  // namespace hearth
