# The torch of the Python that hearth is built for: targets hearth_torch (ATen) and
# hearth_torch_python, or HEARTH_TORCH_FOUND=OFF and one line that says why.
#
# Not find_package(Torch): the configuration of a CUDA torch stops where no CUDA toolkit is installed,
# and neither is needed here. torch is looked for and not imported, which would cost seconds a time.
find_package(Python 3.10 REQUIRED COMPONENTS Interpreter Development.Module)

set(_find_torch "import importlib.util, os; s = importlib.util.find_spec('torch')
print(os.path.dirname(s.origin) if s and s.origin else '', end='')")
execute_process(COMMAND "${Python_EXECUTABLE}" -c "${_find_torch}" OUTPUT_VARIABLE _torch)

# Says in _why what is missing, or leaves it empty and _version set.
function(hearth_examine_torch)
  set(_why "" PARENT_SCOPE)
  if(NOT _torch)
    set(_why "it has no torch" PARENT_SCOPE)
    return()
  endif()
  foreach(part version.py include/ATen/core/Tensor.h lib/libtorch_cpu.so lib/libtorch_python.so)
    if(NOT EXISTS "${_torch}/${part}")
      set(_why "its torch has no ${part}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
  # Wheels of torch before 2.6 were built with the old std::string; hearth is not.
  file(READ "${_torch}/share/cmake/Torch/TorchConfig.cmake" config)
  if(config MATCHES "_GLIBCXX_USE_CXX11_ABI=0")
    set(_why "its torch is built with the old std::string of libstdc++" PARENT_SCOPE)
  endif()
  file(READ "${_torch}/version.py" version)
  string(REGEX MATCH "__version__ = '([^']+)'" _ "${version}")
  set(_version "${CMAKE_MATCH_1}" PARENT_SCOPE)
endfunction()

hearth_examine_torch()
if(_why)
  set(HEARTH_TORCH_FOUND OFF)
  message(STATUS "hearth._torch and its rooms are left out for ${Python_EXECUTABLE}: ${_why}")
  return()
endif()
set(HEARTH_TORCH_FOUND ON)
message(STATUS "torch ${_version} of ${Python_EXECUTABLE}")

add_library(hearth_torch INTERFACE)
target_include_directories(hearth_torch SYSTEM INTERFACE "${_torch}/include"
                           "${_torch}/include/torch/csrc/api/include")
# On the command line, so that everything is compiled again when torch is replaced.
target_compile_definitions(hearth_torch INTERFACE "HEARTH_TORCH_VERSION=\"${_version}\"")
target_link_libraries(hearth_torch INTERFACE "${_torch}/lib/libtorch_cpu.so"
                      "${_torch}/lib/libc10.so")

add_library(hearth_torch_python INTERFACE)
target_link_libraries(hearth_torch_python INTERFACE hearth_torch "${_torch}/lib/libtorch_python.so")
