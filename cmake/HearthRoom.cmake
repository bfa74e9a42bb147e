# One room of cpp/ is one static library. A room sees the headers of cpp/ and the libraries it names,
# nothing else: what it does not link it cannot include.
#
#   hearth_room(cache SOURCES model_cache.cc lru.cc USES hearth_model PRIVATE_USES hearth_json)
#
# ALONE names sources whose anonymous namespace has what another's of the room has, too: they are
# never compiled in one go with others (CMAKE_UNITY_BUILD).
function(hearth_room name)
  cmake_parse_arguments(ROOM "" "" "SOURCES;ALONE;USES;PRIVATE_USES" ${ARGN})
  add_library(hearth_${name} STATIC ${ROOM_SOURCES})
  target_include_directories(hearth_${name} PUBLIC "${PROJECT_SOURCE_DIR}/cpp")
  target_link_libraries(hearth_${name} PUBLIC ${ROOM_USES} PRIVATE ${ROOM_PRIVATE_USES})
  hearth_warnings(hearth_${name})
  hearth_alone(${ROOM_ALONE})
  if("hearth_torch" IN_LIST ROOM_USES)
    hearth_precompile(hearth_${name} <ATen/core/Tensor.h>)
  endif()
endfunction()

function(hearth_alone)
  set_source_files_properties(${ARGN} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()

function(hearth_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Werror)
  if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    target_compile_options(${target} PRIVATE -Wthread-safety)
  elseif(CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # GCC 12 sees an overlap in every `"literal" + std::to_string(n)` (its bug 105651).
    target_compile_options(${target} PRIVATE -Wno-restrict)
  endif()
endfunction()

# A test program of one room: hearth_test(cache SOURCES a_test.cc USES hearth_cache)
function(hearth_test name)
  cmake_parse_arguments(TEST "" "" "SOURCES;ALONE;USES" ${ARGN})
  hearth_alone(${TEST_ALONE})
  add_executable(${name}_test ${TEST_SOURCES})
  target_include_directories(${name}_test PRIVATE "${PROJECT_SOURCE_DIR}/tests/cpp")
  target_link_libraries(${name}_test PRIVATE ${TEST_USES} GTest::gtest GTest::gtest_main)
  hearth_warnings(${name}_test)
  # Tests name the fields they mean ({.max_models = 2}); the others keep their defaults.
  target_compile_options(${name}_test PRIVATE -Wno-missing-field-initializers)
  if(HEARTH_SANITIZE)
    # To optimise a test takes the compiler as long again as all else; the rooms are optimised.
    target_compile_options(${name}_test PRIVATE -O0)
  endif()
  # One process for all cases: `./dev test` counts them from GoogleTest's own reports, and to load
  # libtorch takes longer than most cases.
  add_test(NAME ${name} COMMAND ${name}_test)
endfunction()

if(HEARTH_SANITIZE)
  add_compile_options(-fsanitize=${HEARTH_SANITIZE} -fno-sanitize-recover=all
                      -fno-omit-frame-pointer -g1)
  add_link_options(-fsanitize=${HEARTH_SANITIZE})
endif()
