#ifndef HEARTH_DEVICE_KERNEL_COMPILER_H_
#define HEARTH_DEVICE_KERNEL_COMPILER_H_

#include <string>

namespace hearth {

// Compiles the text of kernels to what a GPU runs, some tenths of a second, with NVIDIA's run-time
// compiler (NVRTC). That comes with torch: neither building nor running hearth needs a toolkit.
//
// `source` is the text, `name` what messages call it, `architecture` "sm_90" for compute capability
// 9.0. Throws CudaError with the compiler's own words, or saying that there is no compiler.
// Thread-safe.
std::string CompileKernels(const std::string& source, const std::string& name,
                           const std::string& architecture);

// Why there is no compiler in this process; empty: there is one.
std::string WhyNoKernelCompiler();

}  // namespace hearth

#endif  // HEARTH_DEVICE_KERNEL_COMPILER_H_
