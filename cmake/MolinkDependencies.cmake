# Every third-party package, its version in Debian 12 and its purpose. The vcpkg names are in
# vcpkg.json.
include(FindPkgConfig)
find_package(Threads REQUIRED)
# fmt 9: text formatting; <format> is not in g++ 12.
find_package(fmt 9 REQUIRED)
# libzmq 4.3.4 + cppzmq 4.9: sockets with reconnect and CURVE. No CMake package on Debian.
pkg_check_modules(libzmq REQUIRED IMPORTED_TARGET libzmq>=4.3.4)
# libsodium 1.0.18: keys and random numbers; libzmq uses the same library for CURVE.
pkg_check_modules(libsodium REQUIRED IMPORTED_TARGET libsodium>=1.0.18)
# FlatBuffers 2.0.8: messages that are verified before they are read, and that evolve by new fields.
find_package(Flatbuffers CONFIG QUIET)
if(NOT Flatbuffers_FOUND)
    find_package(FlatBuffers CONFIG REQUIRED)
endif()
find_program(MOLINK_FLATC flatc REQUIRED)
# Highway 1.0.3: one source for every SIMD target, which is chosen at run time.
pkg_check_modules(libhwy REQUIRED IMPORTED_TARGET libhwy>=1.0.3)
# nlohmann/json 3.11: config.json, tokenizer.json and safetensors headers.
find_package(nlohmann_json 3.11 REQUIRED)
# PCRE2 10.42: the look-ahead and Unicode classes in pre-tokenizer patterns.
pkg_check_modules(pcre2 REQUIRED IMPORTED_TARGET libpcre2-8>=10.40)
# utf8proc 2.8 (its pkg-config file on Debian says 2.6): NFC and NFKC, which some tokenizers need.
pkg_check_modules(utf8proc REQUIRED IMPORTED_TARGET libutf8proc>=2.6)
