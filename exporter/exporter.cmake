# The exporter: every stage from the map to the page, and the program that joins them.
include(${PROJECT_SOURCE_DIR}/cmake/civetweb.cmake)

add_subdirectory(traffic)
add_subdirectory(reader)
add_subdirectory(exposition)
add_subdirectory(http)
add_subdirectory(config)
add_subdirectory(confine)

find_package(Git QUIET)
# Given where there is no repository (an image, a source package).
if(NOT NFBPF_REVISION)
  set(NFBPF_REVISION unknown)
endif()
if(GIT_FOUND AND NFBPF_REVISION STREQUAL unknown)
  execute_process(COMMAND ${GIT_EXECUTABLE} rev-parse --short=12 HEAD
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} OUTPUT_VARIABLE git_revision
    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE git_failed)
  if(NOT git_failed)
    set(NFBPF_REVISION ${git_revision})
  endif()
endif()

find_package(OpenSSL 3.0 REQUIRED)
# The parts of main that tests want too.
add_library(nfbpf_command_line STATIC command_line.cpp dial.cpp health_check.cpp logging.cpp top.cpp top_client.cpp top_rates.cpp)
target_link_libraries(nfbpf_command_line
  PUBLIC nfbpf_config nfbpf_http spdlog::spdlog PRIVATE CLI11::CLI11 nlohmann_json::nlohmann_json OpenSSL::SSL OpenSSL::Crypto nfbpf_flags)
target_include_directories(nfbpf_command_line PUBLIC ${PROJECT_SOURCE_DIR}/exporter)

pkg_check_modules(SYSTEMD REQUIRED IMPORTED_TARGET libsystemd)
add_executable(nfbpf_exporter main.cpp)
target_compile_definitions(nfbpf_exporter PRIVATE
  NFBPF_VERSION="${PROJECT_VERSION}" NFBPF_REVISION="${NFBPF_REVISION}"
  NFBPF_COMPILER="${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}")
target_link_libraries(nfbpf_exporter
  PRIVATE nfbpf_command_line nfbpf_reader nfbpf_http nfbpf_confine nfbpf_flags PkgConfig::SYSTEMD)
install(TARGETS nfbpf_exporter RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
