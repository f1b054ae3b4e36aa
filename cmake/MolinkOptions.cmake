# Every option of the build. Extras default to on only when MoLink is the top-level project.
option(MOLINK_EXAMPLES "Build the programs and examples" ${PROJECT_IS_TOP_LEVEL})
option(MOLINK_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
option(MOLINK_INSTALL "Generate install rules and package files" ${PROJECT_IS_TOP_LEVEL})
option(MOLINK_WERROR "Treat warnings as errors" OFF)
set(MOLINK_SANITIZE "" CACHE STRING "Sanitizers, as in -fsanitize=: address,undefined or thread")

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()
if(PROJECT_IS_TOP_LEVEL)
    set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
    set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
endif()
