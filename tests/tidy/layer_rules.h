#pragma once

#include <map>
#include <set>

#include "source_text.h"

// Rules about who may include whom, and that nothing lies outside the build.
namespace molink::tidy {

/// Module -> the modules it may include, itself among them.
using LayerTable = std::map<std::string, std::set<std::string>>;

/// Reads NAME and DEPS of the molink_module(...) calls of lib/CMakeLists.txt.
LayerTable parse_layers(const SourceFile& cmake);

/// Module of a file under lib/; "" elsewhere.
std::string module_of(const SourceFile& file);

/// Every file under lib/ belongs to a module of the table; its quoted includes are written from
/// lib/ and name permitted modules.
void check_layers(const SourceFile& file, const LayerTable& layers, Violations& out);

/// Every module that the table permits is included by at least one file.
void check_unused_layers(const std::vector<SourceFile>& files, const LayerTable& layers,
                         Violations& out);

/// Third-party headers only in their one place; public headers include nothing but <molink/...> and
/// the standard library.
void check_third_party(const SourceFile& file, Violations& out);

/// Headers that nobody includes, and test sources that no CMakeLists.txt names.
void check_dead_files(const std::vector<SourceFile>& files, Violations& out);

}  // namespace molink::tidy
