# Generates a header from the wire schema in the build tree. The header is never committed, because
# FlatBuffers refuses headers that another version has generated.
set(schema ${PROJECT_SOURCE_DIR}/lib/wire/molink.fbs)
set(schema_dir ${PROJECT_BINARY_DIR}/generated/wire)
set(schema_header ${schema_dir}/molink_generated.h)
if(EXISTS ${schema})
    add_custom_command(OUTPUT ${schema_header}
        COMMAND ${MOLINK_FLATC} --cpp --scoped-enums --gen-object-api --cpp-std c++17
                -o ${schema_dir} ${schema}
        DEPENDS ${schema}
        COMMENT "flatc molink.fbs")
    add_custom_target(molink_schema DEPENDS ${schema_header})
    if(MOLINK_TESTS)
        # Older peers must understand new messages, so the schema must be an evolution of every
        # frozen version. If it is not, the build stops here with flatc's reason.
        file(GLOB frozen CONFIGURE_DEPENDS
            ${PROJECT_SOURCE_DIR}/tests/golden/data/wire/molink_*.fbs)
        foreach(old IN LISTS frozen)
            get_filename_component(version ${old} NAME_WE)
            set(stamp ${schema_dir}/conforms_to_${version})
            add_custom_command(OUTPUT ${stamp}
                COMMAND ${MOLINK_FLATC} --conform ${old} ${schema}
                COMMAND ${CMAKE_COMMAND} -E touch ${stamp}
                DEPENDS ${schema} ${old}
                COMMENT "flatc --conform ${version}")
            list(APPEND conform_stamps ${stamp})
        endforeach()
        add_custom_target(molink_schema_conforms DEPENDS ${conform_stamps})
        add_dependencies(molink_schema molink_schema_conforms)
    endif()
else()
    add_custom_target(molink_schema)
endif()
