#pragma once

#include "source_text.h"

// Rules about names that hold across files.
namespace molink::tidy {

/// A class, struct, union, enum or alias that a file defines at namespace scope.
struct TypeDefinition {
    std::size_t line = 0;
    std::string name;
    bool file_local = false;  ///< in an unnamed namespace, or in one that is compiled per target
};

/// Returns the types in the order of the file. Declarations, specialisations and nested types are
/// left out.
std::vector<TypeDefinition> types_of(const SourceFile& file);

/// In lib/ and include/ a type that other files can see has a name that no other type has, whatever
/// their namespaces. Two types that are local to their files may have the same name.
void check_type_names(const std::vector<SourceFile>& files, Violations& out);

}  // namespace molink::tidy
