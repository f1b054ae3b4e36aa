# Every lib/model/arch/<name>.cpp defines architecture_<name>(). Their table is generated here, so
# that a new architecture needs only a new file.
file(GLOB arch_files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/lib/model/arch/*.cpp)
set(arch_list "")
foreach(file IN LISTS arch_files)
    get_filename_component(name ${file} NAME_WE)
    string(APPEND arch_list "MOLINK_ARCHITECTURE(${name})\n")
endforeach()
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/generated/model/arch_list.inc
    CONTENT "${arch_list}" @ONLY)
