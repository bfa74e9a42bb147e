#ifndef HEARTH_NATIVE_TORCH_BIND_H_
#define HEARTH_NATIVE_TORCH_BIND_H_

#include <pybind11/pybind11.h>

namespace hearth {

void BindEngine(pybind11::module_& module);
void RegisterErrors(pybind11::module_& module);
void BindSampling(pybind11::module_& module);
void BindWeights(pybind11::module_& module);
void BindZImage(pybind11::module_& module);

}  // namespace hearth

#endif  // HEARTH_NATIVE_TORCH_BIND_H_
