# Third parties, never copied into the tree: the system's packages, else header wheels that `./dev`
# put into HEARTH_DEPS_DIR, else the projects' own repositories at a pinned commit.
find_package(Threads REQUIRED)

find_package(nlohmann_json 3.10 QUIET)
find_package(spdlog 1.8 QUIET)
add_library(hearth_json ALIAS nlohmann_json::nlohmann_json)
add_library(hearth_spdlog ALIAS spdlog::spdlog)
if(HEARTH_TESTS)
  find_package(GTest REQUIRED)
  include(GoogleTest)
endif()
