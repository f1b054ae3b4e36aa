# Runs studies under schedulers in shared objects. Rows must have their names, and must say how
# often the built-in policy had to step in.
set(study ${PROGRAM} --cluster ${STUDIES}/three-4090.json --workload ${SOURCE}/plugin_workload.json)
set(csv ${WORK}/plugin_study.csv)
set(schedulers ${PLUGINS}/abi_all_at_once.so ${PLUGINS}/abi_idle.so ${PLUGINS}/abi_wrong.so
    adaptive)
list(JOIN schedulers "," schedulers)
execute_process(COMMAND ${study} --seeds 2 --csv ${csv}
    --scheduler ${schedulers}
    OUTPUT_VARIABLE table ERROR_VARIABLE errors RESULT_VARIABLE failed)
if(failed)
    message(FATAL_ERROR "the study failed (${failed}): ${errors}")
endif()
message("${table}")

function(expect pattern)
    if(NOT table MATCHES "${pattern}")
        message(FATAL_ERROR "the table does not match '${pattern}'")
    endif()
endfunction()
expect(" all-at-once +fair ")
expect(" idle +fair ")
expect("idle planned 0 steps, 0 of them refused; the built-in policy planned [1-9]")
expect("wrong planned [1-9][0-9]* steps, [1-9][0-9]* of them refused; the built-in policy ")
expect("2 seeds \\+-")
if(table MATCHES "(all-at-once|adaptive) planned")
    message(FATAL_ERROR "the built-in policy stepped in for a scheduler that plans")
endif()

file(STRINGS ${csv} lines)
list(LENGTH lines count)
if(NOT count EQUAL 9)
    message(FATAL_ERROR "the CSV has ${count} lines; a header and eight runs were expected")
endif()
foreach(name all-at-once idle wrong adaptive)
    set(runs ${lines})
    list(FILTER runs INCLUDE REGEX "^llama-2-7b,f16,${name},fair,even,static,f16,")
    list(LENGTH runs count)
    if(NOT count EQUAL 2)
        message(FATAL_ERROR "the CSV has ${count} runs of ${name}; two were expected")
    endif()
endforeach()

# A scheduler that cannot be loaded is refused with the reason.
foreach(case "abi_not_today.so: molink_scheduler_open .* returned 7"
        "no_such_file.so: cannot load a scheduler"
        "abi_without_entry.so: exports no molink_scheduler_open")
    string(REGEX MATCH "^[^:]+" file "${case}")
    string(REGEX REPLACE "^[^:]+: " "" reason "${case}")
    execute_process(COMMAND ${study} --scheduler ${PLUGINS}/${file}
        OUTPUT_QUIET ERROR_VARIABLE errors RESULT_VARIABLE failed)
    if(NOT failed EQUAL 2 OR NOT errors MATCHES "${reason}")
        message(FATAL_ERROR "${file}: exit status ${failed}: ${errors}")
    endif()
endforeach()

if(PYTHON)
    execute_process(COMMAND ${PYTHON} ${STUDIES}/plot.py ${csv} --table
        OUTPUT_VARIABLE plotted ERROR_VARIABLE errors RESULT_VARIABLE failed)
    if(failed OR NOT plotted MATCHES "all-at-once +[0-9.e+]+ +[0-9.e+-]+ +2")
        message(FATAL_ERROR "plot.py: ${failed} ${plotted} ${errors}")
    endif()
    execute_process(COMMAND ${PYTHON} ${STUDIES}/plot.py ${csv} --y tokens
        OUTPUT_QUIET ERROR_VARIABLE errors RESULT_VARIABLE failed)
    if(NOT failed OR NOT errors MATCHES "there is no column 'tokens'")
        message(FATAL_ERROR "plot.py does not refuse a column that does not exist: ${errors}")
    endif()
endif()
