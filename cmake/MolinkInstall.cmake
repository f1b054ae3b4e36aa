# Installs the libraries, headers and programs, and the files that find_package and pkg-config read.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

get_target_property(type molink TYPE)
if(type STREQUAL "STATIC_LIBRARY")
    set(MOLINK_IS_STATIC ON)
    set(MOLINK_PC_REQUIRES Requires)
    set(MOLINK_PC_THREADS -pthread)
else()
    set(MOLINK_IS_STATIC OFF)
    set(MOLINK_PC_REQUIRES Requires.private)
    set(MOLINK_PC_THREADS "")
endif()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/molink)
install(TARGETS molink molink-sim EXPORT molink-targets)
install(DIRECTORY include/molink DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${PROJECT_BINARY_DIR}/generated/include/molink/version.h
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/molink)
install(EXPORT molink-targets NAMESPACE molink:: DESTINATION ${package_dir})
configure_package_config_file(cmake/molink-config.cmake.in
    ${PROJECT_BINARY_DIR}/molink-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/molink-config-version.cmake
    COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/molink-config.cmake
    ${PROJECT_BINARY_DIR}/molink-config-version.cmake DESTINATION ${package_dir})
# The path is relative to the .pc file, so that the installed tree may be moved.
file(RELATIVE_PATH MOLINK_PC_INCLUDE
    /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix/${CMAKE_INSTALL_INCLUDEDIR})
configure_file(cmake/molink.pc.in ${PROJECT_BINARY_DIR}/molink.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/molink.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
if(MOLINK_CAPI)
    install(TARGETS molink_c EXPORT molink-targets)
    install(FILES capi/include/molink.h capi/include/molink_keys.h
        capi/include/molink_metrics.h capi/include/molink_plugin.h
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
    configure_file(cmake/molink-c.pc.in ${PROJECT_BINARY_DIR}/molink-c.pc @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/molink-c.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endif()
if(MOLINK_EXAMPLES)
    install(TARGETS molink-worker molink-generate molink-serve molink-simulate molink-plan
        molink-key)
endif()
