# Third parties, never copied into the tree. In this order: the system's packages, the header wheels
# that `./dev` puts into HEARTH_DEPS_DIR, the projects' own repositories at a pinned commit.
set(HEARTH_DEPS_DIR "" CACHE PATH "folder with the header wheels nlohmann-json and tokenspeed-spdlog")
option(HEARTH_FETCH "fetch third parties that are nowhere else" ON)
find_package(Threads REQUIRED)
include(FetchContent)

function(hearth_fetch name repository commit)
  if(NOT HEARTH_FETCH)
    message(FATAL_ERROR "${name} is missing: install it (Debian: libspdlog-dev nlohmann-json3-dev "
                        "libgtest-dev), or configure with -DHEARTH_FETCH=ON")
  endif()
  message(STATUS "${name}: fetching ${commit}")
  FetchContent_Declare(${name} GIT_REPOSITORY "${repository}" GIT_TAG ${commit})
  FetchContent_MakeAvailable(${name})
endfunction()

# A library of our own around each, because an ALIAS of a target that find_package() made is refused
# by older CMake unless that target is global. SYSTEM: their warnings are not our errors.
function(hearth_third_party name)
  add_library(hearth_${name} INTERFACE)
  foreach(library ${ARGN})
    if(TARGET ${library})
      target_link_libraries(hearth_${name} INTERFACE ${library})
      target_include_directories(hearth_${name} SYSTEM INTERFACE
        "$<TARGET_PROPERTY:${library},INTERFACE_INCLUDE_DIRECTORIES>")
      return()
    endif()
  endforeach()
  message(FATAL_ERROR "${name} has none of the targets ${ARGN}")
endfunction()

function(hearth_header_wheel name header)
  file(GLOB found "${HEARTH_DEPS_DIR}/*/include/${header}" "${HEARTH_DEPS_DIR}/include/${header}")
  if(NOT HEARTH_DEPS_DIR OR NOT found)
    return()
  endif()
  list(GET found 0 first)
  string(REPLACE "/${header}" "" directory "${first}")
  add_library(hearth_wheel_${name} INTERFACE)
  target_include_directories(hearth_wheel_${name} SYSTEM INTERFACE "${directory}")
  target_link_libraries(hearth_wheel_${name} INTERFACE Threads::Threads)
  message(STATUS "${name}: headers in ${directory}")
endfunction()

find_package(nlohmann_json 3.10 QUIET)
if(NOT nlohmann_json_FOUND)
  hearth_header_wheel(json nlohmann/json.hpp)
  if(NOT TARGET hearth_wheel_json)
    hearth_fetch(json https://github.com/nlohmann/json.git
                 9cca280a4d0ccf0c08f47a99aa71d1b0e52f8d03)  # 3.11.3
  endif()
endif()
hearth_third_party(json nlohmann_json::nlohmann_json hearth_wheel_json)

find_package(spdlog 1.8 QUIET)
if(NOT spdlog_FOUND)
  hearth_header_wheel(spdlog spdlog/spdlog.h)
  if(NOT TARGET hearth_wheel_spdlog)
    hearth_fetch(spdlog https://github.com/gabime/spdlog.git
                 7c02e204c92545f869e2f04edaab1f19fe8b19fd)  # 1.13.0
  endif()
endif()
if(HEARTH_SANITIZE)  # a sanitizer sees only what is compiled with it, and a library of the system is not
  hearth_third_party(spdlog spdlog::spdlog_header_only hearth_wheel_spdlog spdlog::spdlog)
else()
  hearth_third_party(spdlog spdlog::spdlog hearth_wheel_spdlog spdlog::spdlog_header_only)
endif()

if(HEARTH_TESTS)
  find_package(GTest QUIET)
  if(NOT GTest_FOUND)
    hearth_fetch(googletest https://github.com/google/googletest.git
                 52eb8108c5bdec04579160ae17225d66034bd723)  # 1.17.0
  endif()
endif()
