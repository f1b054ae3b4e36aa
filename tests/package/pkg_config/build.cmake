# Compiles and runs the example with nothing but a compiler and pkg-config.
file(GLOB_RECURSE pc ${PREFIX}/*/molink.pc)
get_filename_component(pc_dir "${pc}" DIRECTORY)
set(ENV{PKG_CONFIG_PATH} ${pc_dir})
execute_process(COMMAND pkg-config --cflags --libs molink
    OUTPUT_VARIABLE flags OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
separate_arguments(flags UNIX_COMMAND "${flags}")
execute_process(COMMAND ${CXX} -std=c++20 ${EXAMPLE} -o ${OUT} ${flags} COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${OUT} ${MODEL} COMMAND_ERROR_IS_FATAL ANY)
