# Compiles the example only with COMPILER and the flags of pkg-config for PACKAGE, and runs it.
file(GLOB_RECURSE pc ${PREFIX}/*/${PACKAGE}.pc)
get_filename_component(pc_dir "${pc}" DIRECTORY)
get_filename_component(lib_dir "${pc_dir}" DIRECTORY)
set(ENV{PKG_CONFIG_PATH} ${pc_dir})
execute_process(COMMAND pkg-config --cflags --libs ${PACKAGE}
    OUTPUT_VARIABLE flags OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
separate_arguments(flags UNIX_COMMAND "${flags}")
execute_process(COMMAND ${COMPILER} ${STANDARD} ${EXAMPLE} -o ${OUT} ${flags}
    COMMAND_ERROR_IS_FATAL ANY)
set(ENV{LD_LIBRARY_PATH} ${lib_dir})
execute_process(COMMAND ${OUT} ${MODEL} OUTPUT_VARIABLE text COMMAND_ERROR_IS_FATAL ANY)
message(STATUS "${text}")
if(NOT text MATCHES "LORD")
    message(FATAL_ERROR "${EXAMPLE} did not print the passage")
endif()
