# Flags of every MoLink target. -ffp-contract=off is necessary for results that are equal bit for
# bit: the compiler must not fuse a multiplication and an addition that the source separates.
add_library(molink_flags INTERFACE)
target_compile_features(molink_flags INTERFACE cxx_std_20)
target_compile_options(molink_flags INTERFACE
    $<$<COMPILE_LANGUAGE:C,CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion>
    $<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off>
    # GCC 12 wrongly warns of overlap inside std::string operator+ (GCC bug 105651).
    $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>
    $<$<BOOL:${MOLINK_WERROR}>:-Werror>)
