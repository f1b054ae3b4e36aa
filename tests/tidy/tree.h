#pragma once

#include "source_text.h"

namespace molink::tidy {

/// Returns every source file of the repository, sorted by path: include, lib, capi, examples,
/// tests, cmake and the top-level CMakeLists.txt, without data folders.
std::vector<SourceFile> read_tree(const std::string& root);

}  // namespace molink::tidy
