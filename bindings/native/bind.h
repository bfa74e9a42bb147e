#ifndef HEARTH_NATIVE_BIND_H_
#define HEARTH_NATIVE_BIND_H_

#include <pybind11/pybind11.h>

namespace hearth {

// One function a file; each adds its classes to the module. Order matters: a class must be known
// before a signature names it.
void RegisterErrors(pybind11::module_& module);
void BindModelKey(pybind11::module_& module);
void BindExecutor(pybind11::module_& module);
void BindCache(pybind11::module_& module);
void BindCheckpoint(pybind11::module_& module);
void BindByteView(pybind11::module_& module);
void BindHostFiles(pybind11::module_& module);
void BindKeeper(pybind11::module_& module);
void BindDevices(pybind11::module_& module);
void BindRuntime(pybind11::module_& module);

}  // namespace hearth

#endif  // HEARTH_NATIVE_BIND_H_
