#pragma once

#include <map>
#include <set>

#include "source_text.h"

// Rules about what a file may include, and that every file belongs to the build.
namespace molink::tidy {

/// The modules that each module may include, itself among them.
using LayerTable = std::map<std::string, std::set<std::string>>;

/// Reads NAME and DEPS of the molink_module(...) calls in lib/CMakeLists.txt.
LayerTable parse_layers(const SourceFile& cmake);

/// Returns the module of a file under lib/, or "".
std::string module_of(const SourceFile& file);

/// Every file under lib/ belongs to a module of the table. Its quoted includes are paths from lib/
/// into permitted modules.
void check_layers(const SourceFile& file, const LayerTable& layers, Violations& out);

/// Every module that the table permits to a module is included by at least one of its files.
void check_unused_layers(const std::vector<SourceFile>& files, const LayerTable& layers,
                         Violations& out);

/// Third-party headers are included only in their places. Public headers include only <molink/...>
/// and the standard library.
void check_third_party(const SourceFile& file, Violations& out);

/// Every header is included by a file, and every test source is named by a CMakeLists.txt.
void check_dead_files(const std::vector<SourceFile>& files, Violations& out);

}  // namespace molink::tidy
