# molink_module(NAME <name> DEPS <modules> LINKS <modules> LIBRARIES <third-party targets>)
# Declares one layer of lib/: a static library molink_<name> of all sources in lib/<name>/ (and its
# subfolders). DEPS are the modules that it may include; tests/tidy checks this. LINKS are modules
# that are linked, but not included.
set_property(GLOBAL PROPERTY MOLINK_MODULES "")

function(molink_module)
    cmake_parse_arguments(ARG "" "NAME" "DEPS;LINKS;LIBRARIES" ${ARGN})
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_NAME}/*.cpp)
    set(target molink_${ARG_NAME})
    if(sources)
        add_library(${target} STATIC ${sources})
        set_target_properties(${target} PROPERTIES
            POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
        set(scope PUBLIC)
        set_property(GLOBAL APPEND PROPERTY MOLINK_MODULES ${target})
        target_compile_definitions(${target} PRIVATE MOLINK_BUILDING)
        target_link_libraries(${target} PRIVATE molink_flags)
    else()
        add_library(${target} INTERFACE)
        set(scope INTERFACE)
    endif()
    target_include_directories(${target} ${scope}
        ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/lib ${PROJECT_BINARY_DIR}/generated)
    set(deps ${ARG_DEPS} ${ARG_LINKS})
    list(TRANSFORM deps PREPEND molink_)
    target_link_libraries(${target} ${scope} ${deps} ${ARG_LIBRARIES})
endfunction()
