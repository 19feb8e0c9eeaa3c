find_program(CLANG NAMES clang clang-14 clang-16 clang-19 REQUIRED)
find_program(LLVM_STRIP NAMES llvm-strip llvm-strip-14 llvm-strip-16 llvm-strip-19 REQUIRED)

# The kernel's own headers, as the machine's compiler finds them for its architecture.
execute_process(COMMAND ${CMAKE_C_COMPILER} -print-multiarch
                OUTPUT_VARIABLE NFBPF_MULTIARCH OUTPUT_STRIP_TRAILING_WHITESPACE)

# add_bpf(NAME SOURCE [FLAGS...]): NAME.bpf.o in the current binary folder, from SOURCE.
# DWARF is stripped, BTF stays. Sets NAME_object to the path, and makes the target bpf_NAME.
function(add_bpf name source)
  set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}.bpf.o)
  add_custom_command(
    OUTPUT ${object}
    COMMAND ${CLANG} -g -O2 -target bpf -mcpu=v3 -Wall -Wextra -Werror ${ARGN}
            -I${PROJECT_SOURCE_DIR}/bpf/abi -I${PROJECT_SOURCE_DIR}/bpf
            -isystem /usr/include/${NFBPF_MULTIARCH}
            -MD -MF ${object}.d -c ${CMAKE_CURRENT_SOURCE_DIR}/${source} -o ${object}
    COMMAND ${LLVM_STRIP} -g ${object}
    DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${source}
    DEPFILE ${object}.d
    COMMENT "BPF ${name}" VERBATIM)
  add_custom_target(bpf_${name} ALL DEPENDS ${object})
  set(${name}_object ${object} PARENT_SCOPE)
endfunction()
