// Tests each rule on a planted breach, which it must find, and on similar text that is permitted.
#include "layer_rules.h"
#include "name_rules.h"
#include "support/catch.h"
#include "text_rules.h"

namespace molink::tidy {
namespace {

using Rule = void (*)(const SourceFile&, Violations&);

std::size_t count(Rule rule, const std::string& path, const std::string& text) {
    Violations out;
    rule(SourceFile(path, text), out);
    return out.size();
}

std::string repeat(const std::string& line, std::size_t times) {
    std::string text;
    for (std::size_t i = 0; i < times; ++i) text += line;
    return text;
}

const char* const kTable =
    "molink_module(NAME base LIBRARIES fmt::fmt)  # comment (with brackets)\n"
    "molink_module(NAME wire DEPS base)\n"
    "molink_module(NAME kv DEPS base)\n"
    "molink_module(NAME channel DEPS wire\n    LINKS kv LIBRARIES x)\n";

std::size_t count_layers(const std::string& path, const std::string& text) {
    Violations out;
    check_layers(SourceFile(path, text), parse_layers(SourceFile("lib/CMakeLists.txt", kTable)),
                 out);
    return out.size();
}

}  // namespace

TEST_CASE("long lines, files and functions are found") {
    CHECK(count(check_lengths, "lib/a/a.cpp", std::string(100, 'x')) == 0);
    CHECK(count(check_lengths, "lib/a/a.cpp", std::string(101, 'x')) == 1);
    CHECK(count(check_lengths, "lib/a/a.cpp", repeat("x;\n", 600)) == 0);
    CHECK(count(check_lengths, "lib/a/a.cpp", repeat("x;\n", 601)) == 1);
    CHECK(count(check_lengths, "include/molink/a.h", repeat("x;\n", 250)) == 0);
    CHECK(count(check_lengths, "include/molink/a.h", repeat("x;\n", 251)) == 1);
    CHECK(count(check_lengths, "lib/a/a.cpp", "int f() {\n" + repeat("x;\n", 68) + "}\n") == 0);
    CHECK(count(check_lengths, "lib/a/a.cpp", "int f() {\n" + repeat("x;\n", 69) + "}\n") == 1);
}

TEST_CASE("odd characters are found") {
    CHECK(count(check_characters, "lib/a/a.cpp", "int a;\n") == 0);
    CHECK(count(check_characters, "lib/a/a.cpp", "// \xc3\xa9\n") == 1);
    CHECK(count(check_characters, "lib/a/a.cpp", "\tint a;\n") == 1);
    CHECK(count(check_characters, "lib/a/a.cpp", "int a; \n") == 1);
    CHECK(count(check_characters, "lib/a/a.cpp", "int a;\r\n") == 1);
}

TEST_CASE("missing openings are found") {
    CHECK(count(check_opening, "lib/a/a.h", "#pragma once\n") == 0);
    CHECK(count(check_opening, "lib/a/a.h", "int a;\n") == 1);
    CHECK(count(check_opening, "lib/a/a.cpp", "// a\n// b\n// c\nint a;\n") == 0);
    CHECK(count(check_opening, "lib/a/a.cpp", "// a\n// b\nint a;\n") == 1);
    CHECK(count(check_opening, "lib/a/a.cpp", repeat("// a\n", 11)) == 1);
    CHECK(count(check_opening, "tests/unit/a/a_test.cpp", "// a\n") == 0);
    CHECK(count(check_opening, "tests/unit/a/a_test.cpp", "int a;\n") == 1);
}

TEST_CASE("leftovers are found") {
    CHECK(count(check_leftovers, "lib/a/a.cpp",
                "// TO"
                "DO: later\n") == 1);
    CHECK(count(check_leftovers, "cmake/A.cmake",
                "# FIX"
                "ME\n") == 1);
    CHECK(count(check_leftovers, "lib/a/a.cpp",
                "auto s = \"XX"
                "X\";\n") == 1);
    CHECK(count(check_leftovers, "lib/a/a.cpp",
                "int XX"
                "XY;\n") == 0);
    for (const char* code :
         {"// return a;", "// if (a) {", "// f(a, b);", "    // int a = 3;", "// }",
          "// #include <a>", "// a.b->c(d);", "// for (int i = 0; i < 3; ++i) {"}) {
        INFO(code);
        CHECK(count(check_leftovers, "lib/a/a.cpp", code) == 1);
    }
    for (const char* prose : {"// The last one wins;", "/// f(a, b);", "// returns a; then b.",
                              "// if it fails (rare)", "a = b;  // c"}) {
        INFO(prose);
        CHECK(count(check_leftovers, "lib/a/a.cpp", prose) == 0);
    }
}

TEST_CASE("banned calls are found only in the library") {
    for (const char* code : {"printf(\"a\");",
                             "std::fprintf(f, \"a\");",
                             "puts(\"a\");",
                             "std::cout << 1;",
                             "std::cerr << 1;",
                             "fmt::print(\"a\");",
                             "#include <iostream>",
                             "exit(1);",
                             "std::exit(1);",
                             "abort();",
                             "std::terminate();",
                             "int a = rand();",
                             "std::random_device d;",
                             "std::mt19937 g;",
                             "std::chrono::seconds(1)",
                             "std::chrono::steady_clock::now()",
                             "#include <chrono>",
                             "clock_gettime(CLOCK_MONOTONIC, &t);",
                             "time(nullptr)",
                             "std::this_thread::sleep_for(d);",
                             "usleep(3);",
                             "::sleep(1);"}) {
        INFO(code);
        CHECK(count(check_bans, "lib/a/a.cpp", code) >= 1);
        CHECK(count(check_bans, "include/molink/a.h", code) >= 1);
        CHECK(count(check_bans, "examples/a.cpp", code) == 0);
    }
    for (const char* code : {"std::snprintf(b, 9, \"a\");", "// printf(\"a\");", "\"abort()\"",
                             "task.abort();", "on_exit(1);", "operand(1);", "layer_time(0);",
                             "brand();", "Random random(seed);", "policy->exit();"}) {
        INFO(code);
        CHECK(count(check_bans, "lib/a/a.cpp", code) == 0);
    }
    CHECK(count(check_bans, "lib/base/clock_steady.cpp", "std::chrono::seconds(1)") == 0);
    CHECK(count(check_bans, "lib/base/clock_steady.cpp", "printf(\"a\");") == 1);
    const char* const now = "auto a = std::chrono::steady_clock::now();";
    CHECK(count(check_bans, "lib/base/timeout.h", "std::chrono::microseconds(9)") == 0);
    CHECK(count(check_bans, "lib/base/timeout.h", now) == 1);
}

TEST_CASE("the table of layers is read") {
    const LayerTable layers = parse_layers(SourceFile("lib/CMakeLists.txt", kTable));
    CHECK(layers.size() == 4);
    CHECK(layers.at("base") == std::set<std::string>{"base"});
    CHECK(layers.at("channel") == std::set<std::string>{"wire", "channel"});
}

TEST_CASE("forbidden includes are found") {
    CHECK(count_layers("lib/channel/a.cpp", "#include \"channel/b.h\"\n#include \"wire/a.h\"\n") ==
          0);
    CHECK(count_layers("lib/channel/a.cpp", "#include \"base/error.h\"\n") == 1);
    CHECK(count_layers("lib/channel/a.cpp", "#include \"kv/a.h\"\n") == 1);
    CHECK(count_layers("lib/base/a.cpp", "#include \"wire/a.h\"\n") == 1);
    CHECK(count_layers("lib/wire/a.cpp", "#include \"a.h\"\n") == 1);
    CHECK(count_layers("lib/wire/a.cpp", "#include \"nowhere/a.h\"\n") == 1);
    CHECK(count_layers("lib/stray/a.cpp", "int a;\n") == 1);
    CHECK(count_layers("lib/a.cpp", "int a;\n") == 1);
}

TEST_CASE("permitted modules that no file includes are found") {
    const LayerTable layers = parse_layers(SourceFile("lib/CMakeLists.txt", kTable));
    std::vector<SourceFile> files;
    files.emplace_back("lib/wire/a.h", "#include \"base/error.h\"\n");
    files.emplace_back("lib/kv/a.cpp", "#include <molink/status.h>\n");
    files.emplace_back("lib/channel/a.cpp", "#include \"wire/a.h\"\n");
    files.emplace_back("tests/unit/kv/a.cpp", "#include \"base/error.h\"\n");
    Violations out;
    check_unused_layers(files, layers, out);
    REQUIRE(out.size() == 1);
    CHECK(out[0].what == "kv may include base, but no file of it does");
}

TEST_CASE("third-party headers outside their place are found") {
    CHECK(count(check_third_party, "lib/transport/zmq_transport.cpp", "#include <zmq.hpp>\n") == 0);
    CHECK(count(check_third_party, "lib/transport/other.cpp", "#include <zmq.hpp>\n") == 1);
    CHECK(count(check_third_party, "lib/wire/a.cpp", "#include \"wire/molink_generated.h\"\n") ==
          0);
    CHECK(count(check_third_party, "lib/channel/a.cpp", "#include \"wire/molink_generated.h\"\n") ==
          1);
    CHECK(count(check_third_party, "lib/model/a.cpp", "#include <nlohmann/json.hpp>\n") == 1);
    CHECK(count(check_third_party, "lib/model/a.cpp", "#include <boost/any.hpp>\n") == 1);
    CHECK(count(check_third_party, "lib/model/a.cpp", "#include <sys/mman.h>\n#include <span>\n") ==
          0);
    CHECK(count(check_third_party, "include/molink/a.h", "#include <fmt/core.h>\n") == 1);
    CHECK(count(check_third_party, "include/molink/a.h", "#include \"base/error.h\"\n") == 1);
    CHECK(count(check_third_party, "include/molink/a.h", "#include <molink/types.h>\n") == 0);
    CHECK(count(check_third_party, "tests/unit/a/a.cpp", "#include <catch2/catch.hpp>\n") == 1);
    CHECK(count(check_third_party, "tests/support/catch.h", "#include <catch2/catch.hpp>\n") == 0);
}

TEST_CASE("types are found at namespace scope") {
    const auto names = [](const std::string& text) {
        std::string found;
        for (const TypeDefinition& type : types_of(SourceFile("lib/a/a.cpp", text))) {
            found += type.name + (type.file_local ? "(local) " : " ");
        }
        return found;
    };
    CHECK(names("namespace molink {\nclass MOLINK_EXPORT A final : public B<C> {\n};\n}\n") ==
          "A ");
    CHECK(names("class KV final {\n};\n") == "KV ");
    CHECK(names("enum class E : std::uint8_t { a, b };\nunion U { int a; };\n") == "E U ");
    CHECK(names("template <typename T>\nstruct S {\n  struct Inner { int a; };\n};\n") == "S ");
    CHECK(names("namespace {\nstruct L {};\n}\nnamespace a::b {\nstruct M {};\n}\n") ==
          "L(local) M ");
    CHECK(names("using A = int;\ntemplate <class T> using P = T*;\nusing std::swap;\n") == "A P ");
    CHECK(names("struct A;\nstruct Outer::Nested {\n};\ntemplate <>\nstruct h<A> {\n};\n"
                "struct A make(int a) {\n  struct In {};\n}\nvoid f(struct A a = {});\n") == "");
}

TEST_CASE("type names that are defined twice are found") {
    const auto count_names = [](const std::string& first, const std::string& second) {
        Violations out;
        check_type_names(
            {SourceFile("include/molink/a.h", first), SourceFile("lib/b/b.cpp", second)}, out);
        return out.size();
    };
    const std::string a = "namespace molink {\nstruct A {\n};\n}\n";
    const std::string local = "namespace molink {\nnamespace {\nstruct A {\n};\n}\n}\n";
    CHECK(count_names(a, a) == 1);
    CHECK(count_names(a, local) == 1);
    CHECK(count_names(a, "namespace molink::sim {\nenum class A { a };\n}\n") == 1);
    CHECK(count_names(local, local) == 0);
    CHECK(count_names(a, "namespace molink {\nstruct A;\nstruct B {\n  struct A {};\n};\n}\n") ==
          0);
}

TEST_CASE("files outside the build are found") {
    std::vector<SourceFile> files;
    files.emplace_back("lib/a/used.h", "");
    files.emplace_back("lib/a/dead.h", "");
    files.emplace_back("lib/a/a.cpp", "#include \"a/used.h\"\n");
    files.emplace_back("tests/golden/CMakeLists.txt", "molink_test(SOURCES named_test.cpp)\n");
    files.emplace_back("tests/golden/named_test.cpp", "#include \"near.h\"\n");
    files.emplace_back("tests/golden/near.h", "");
    files.emplace_back("tests/golden/lost_test.cpp", "");
    files.emplace_back("tests/unit/a/a_test.cpp", "");
    files.emplace_back("tests/unit/a/deep/a_test.cpp", "");
    Violations out;
    check_dead_files(files, out);
    REQUIRE(out.size() == 3);
    CHECK(out[0].path == "lib/a/dead.h");
    CHECK(out[1].path == "tests/golden/lost_test.cpp");
    CHECK(out[2].path == "tests/unit/a/deep/a_test.cpp");
}

}  // namespace molink::tidy
