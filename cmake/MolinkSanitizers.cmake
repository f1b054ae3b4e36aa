# MOLINK_SANITIZE applies to everything that is built here, including tests and programs.
if(MOLINK_SANITIZE)
    add_compile_options(-fsanitize=${MOLINK_SANITIZE} -fno-omit-frame-pointer
        -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${MOLINK_SANITIZE})
endif()
# MOLINK_FUZZ instruments all code and turns on the checks of the standard library.
if(MOLINK_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)
    add_compile_definitions(_GLIBCXX_ASSERTIONS)
endif()
