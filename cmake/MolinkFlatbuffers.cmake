# The wire schema becomes a header in the build tree; generated code is never committed, because
# FlatBuffers refuses headers that another version generated.
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
else()
    add_custom_target(molink_schema)
endif()
