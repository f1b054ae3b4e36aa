// Tests the text tools of the tidy test on snippets with known results.
#include "source_text.h"

#include "support/catch.h"

namespace molink::tidy {
namespace {

std::vector<std::string> blanked(std::string_view text) {
    return SourceFile("a.cpp", text).code;
}

std::vector<std::size_t> function_lengths(std::string_view text) {
    std::vector<std::size_t> lengths;
    for (const Function& function : functions_of(SourceFile("a.cpp", text))) {
        lengths.push_back(function.line_count);
    }
    return lengths;
}

using Lengths = std::vector<std::size_t>;

}  // namespace

TEST_CASE("comments and literals are blanked, and code stays") {
    CHECK(blanked("int a; // b\n")[0] == "int a;     ");
    CHECK(blanked("a /* b\nc */ d\n") == std::vector<std::string>{"a     ", "     d"});
    CHECK(blanked(R"(f("a\"b", 'c', '\'') + 1'000;)")[0] == R"(f("    ", ' ', '  ') + 1'000;)");
    CHECK(blanked("x = R\"(a\"b)\" + y;")[0] == "x =          + y;");
    CHECK(blanked("\"//\" a")[0] == "\"  \" a");
}

TEST_CASE("includes are found with line and kind") {
    const auto includes = includes_of(
        SourceFile("a.h", "#include <vector>\n\n  # include \"base/error.h\"\n// #include\n"));
    REQUIRE(includes.size() == 2);
    CHECK(includes[0].is_angled);
    CHECK(includes[0].target == "vector");
    CHECK(includes[1].line == 3);
    CHECK_FALSE(includes[1].is_angled);
    CHECK(includes[1].target == "base/error.h");
}

TEST_CASE("functions are measured from declaration to closing brace") {
    CHECK(function_lengths("int f() {\n  if (a) {\n  }\n}\nint g() { return 1; }\n") ==
          Lengths{4, 1});
    CHECK(function_lengths("void f(int a,\n       int b)\n{\n}\n") == Lengths{4});
    CHECK(function_lengths(
              "namespace a {\nclass B : public C {\npublic:\n  void f() {\n  }\n};\n}\n") ==
          Lengths{2});
    CHECK(function_lengths("template <class T>\nvoid f(T t) {\n}\n") == Lengths{3});
    CHECK(function_lengths("template <class T>\nclass F {\n  int g() {\n  }\n};\n") == Lengths{2});
    CHECK(function_lengths("A::A(int x) : a_{x}, b_(1) {\n\n}\n") == Lengths{3});
    CHECK(function_lengths("A::A() : a_(1), b_{2} {\n\n}\nint f() {\n}\n") == Lengths{3, 2});
    CHECK(function_lengths("bool operator==(A a, A b) {\n}\n") == Lengths{2});
    CHECK(function_lengths("TEST_CASE(\"a {\") {\n\n\n}\n") == Lengths{4});
    CHECK(function_lengths("int f() {\n  auto g = [](int a) {\n  };\n  return g(1);\n}\n") ==
          Lengths{5});
}

TEST_CASE("blocks that are no functions are not measured") {
    CHECK(function_lengths("constexpr int kA[] = {\n  1,\n  f(2),\n};\n") == Lengths{});
    CHECK(function_lengths("struct A {\n  int b = 0;\n};\nenum class E { a, b };\n") == Lengths{});
    CHECK(function_lengths("#define F(a) \\\n  do {  \\\n  } while (0)\nint a;\n") == Lengths{});
    CHECK(function_lengths("void f(int a);\nextern \"C\" {\nvoid g();\n}\n") == Lengths{});
    CHECK(function_lengths("int a = f({1, 2});\nint g() {\n}\n") == Lengths{2});
}

}  // namespace molink::tidy
