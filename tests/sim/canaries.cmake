# Runs the canary program once with every planted bug that the header names; each has to be found
# within SEEDS seeds, and without a bug the same program has to find nothing.
file(STRINGS ${HEADER} lines REGEX "^    [a-z_]+, +///<")
set(found 0)
foreach(line IN LISTS lines)
    string(REGEX MATCH "[a-z_]+" name "${line}")
    execute_process(COMMAND ${PROGRAM} --swarm ${SEEDS} --quiet --threads 2 --canary ${name}
        RESULT_VARIABLE result ERROR_VARIABLE text OUTPUT_QUIET TIMEOUT 300)
    if(NOT result EQUAL 1)
        message(SEND_ERROR "canary ${name} was not found in ${SEEDS} seeds: ${result} ${text}")
        continue()
    endif()
    message(STATUS "${name}\n${text}")
    math(EXPR found "${found} + 1")
endforeach()
execute_process(COMMAND ${PROGRAM} --swarm 200 --quiet --threads 2 RESULT_VARIABLE result
    ERROR_VARIABLE text OUTPUT_QUIET)
if(NOT result EQUAL 0)
    message(SEND_ERROR "the program fails without a planted bug: ${result} ${text}")
endif()
message(STATUS "${found} canaries found")
if(found LESS 12)
    message(FATAL_ERROR "only ${found} canaries were found; at least 12 are required")
endif()
