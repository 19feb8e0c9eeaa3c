# Manual pages: what --help says, and around it what deploy/man says. They cannot differ from the programs.
find_package(Python3 COMPONENTS Interpreter)
if(Python3_FOUND AND NOT CMAKE_CROSSCOMPILING AND NOT NFBPF_SANITIZE)
  foreach(page nfbpf_exporter.1 nfbpf-load.8)
    string(REGEX REPLACE "\\.[0-9]$" "" program ${page})
    string(REGEX REPLACE "^.*\\." "" section ${page})
    set(file ${PROJECT_BINARY_DIR}/man/${page})
    add_custom_command(
      OUTPUT ${file}
      COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/deploy/man/man-page $<TARGET_FILE:${program}> ${section}
              ${PROJECT_SOURCE_DIR}/deploy/man/${program}.roff ${file}
      DEPENDS ${program} ${PROJECT_SOURCE_DIR}/deploy/man/man-page ${PROJECT_SOURCE_DIR}/deploy/man/${program}.roff
      VERBATIM)
    add_custom_target(man_${program} ALL DEPENDS ${file})
    install(FILES ${file} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
  endforeach()
endif()
