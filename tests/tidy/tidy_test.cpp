// Applies the rules to the whole tree. A failure lists every breach as path:line: what.
#include "layer_rules.h"
#include "name_rules.h"
#include "support/catch.h"
#include "text_rules.h"
#include "tree.h"

namespace molink::tidy {
namespace {

const std::vector<SourceFile>& tree() {
    static const std::vector<SourceFile> files = read_tree(MOLINK_SOURCE_DIR);
    return files;
}

/// Fails with all violations at once.
void report(const Violations& violations) {
    std::string text;
    for (const Violation& violation : violations) text += "\n" + violation.to_string();
    INFO(violations.size() << " breaches:" << text);
    CHECK(violations.empty());
}

void report_each(void (*rule)(const SourceFile&, Violations&)) {
    Violations out;
    for (const SourceFile& file : tree()) rule(file, out);
    report(out);
}

}  // namespace

TEST_CASE("the tree is read") {
    std::size_t sources = 0;
    std::size_t functions = 0;
    for (const SourceFile& file : tree()) {
        if (!file.is_under("lib/") || !file.is_cpp()) continue;
        ++sources;
        functions += functions_of(file).size();
    }
    // A broken matcher would find few functions, and therefore no long ones.
    CHECK(sources > 20);
    CHECK(functions > 10 * sources / 4);
}

TEST_CASE("tree: lengths") {
    report_each(check_lengths);
}
TEST_CASE("tree: characters") {
    report_each(check_characters);
}
TEST_CASE("tree: openings") {
    report_each(check_opening);
}
TEST_CASE("tree: leftovers") {
    report_each(check_leftovers);
}
TEST_CASE("tree: bans") {
    report_each(check_bans);
}
TEST_CASE("tree: third-party headers") {
    report_each(check_third_party);
}

TEST_CASE("tree: layers") {
    Violations out;
    for (const SourceFile& cmake : tree()) {
        if (cmake.path != "lib/CMakeLists.txt") continue;
        const LayerTable layers = parse_layers(cmake);
        REQUIRE(layers.size() >= 15);
        for (const SourceFile& file : tree()) check_layers(file, layers, out);
        check_unused_layers(tree(), layers, out);
    }
    report(out);
}

TEST_CASE("tree: type names") {
    std::size_t types = 0;
    for (const SourceFile& file : tree()) {
        if (file.is_under("lib/") && file.is_cpp()) types += types_of(file).size();
    }
    CHECK(types > 300);
    Violations out;
    check_type_names(tree(), out);
    report(out);
}

TEST_CASE("tree: dead files") {
    Violations out;
    check_dead_files(tree(), out);
    report(out);
}

}  // namespace molink::tidy
