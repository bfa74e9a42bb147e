# Headers that every source of a target reads, compiled once: those of torch and pybind11 take several
# seconds a time. Not with a compiler cache, which knows a source's output again only without them,
# and not for another compiler than GCC, which the fuzzers alone are built with.
set(_precompile ON)
if(CMAKE_CXX_COMPILER_LAUNCHER OR NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(_precompile OFF)
endif()
option(HEARTH_PRECOMPILE "compile the largest headers once a target" ${_precompile})

function(hearth_precompile target)
  if(HEARTH_PRECOMPILE)
    target_precompile_headers(${target} PRIVATE ${ARGN})
    if(CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
      # GCC 12 forgets that such headers are the system's, and warns of its bug 105651 in them.
      target_compile_options(${target} PRIVATE -Wno-array-bounds)
    endif()
  endif()
endfunction()
