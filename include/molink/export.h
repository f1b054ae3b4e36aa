#pragma once

/// Marks symbols that a shared build of the library exports.
#if defined(_WIN32)
#define MOLINK_EXPORT
#else
#define MOLINK_EXPORT [[gnu::visibility("default")]]
#endif
