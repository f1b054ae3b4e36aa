#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

#include <molink/export.h>
#include <molink/status.h>

namespace molink {

/// Remembers the process that opened something with threads, sockets and locks. fork() copies none
/// of the threads, and locks that they held stay locked in the child. Thread: any.
class MOLINK_EXPORT OwnerProcess {
public:
    /// `what` names what was opened, such as "the engine". Static storage.
    explicit OwnerProcess(const char* what);
    /// Returns ok in the process that made this object. Errors: failed_precondition in a child of
    /// fork(), with both process ids. Takes no lock.
    Status check() const;

private:
    const char* what_;
    std::int64_t process_;
};

/// An object that only the process that made it may use. In a child of fork() no call reaches it,
/// and it is never destroyed: its destructor would wait for threads that do not exist.
template <typename T>
class ProcessBound {
public:
    /// `what` as for OwnerProcess.
    ProcessBound(const char* what, std::unique_ptr<T> object)
        : owner_(what), object_(std::move(object)) {}
    ~ProcessBound() {
        if (!check().ok()) static_cast<void>(object_.release());
    }
    ProcessBound(const ProcessBound&) = delete;
    ProcessBound& operator=(const ProcessBound&) = delete;

    Status check() const { return owner_.check(); }
    /// Returns body(object). In another process returns the error of check() if the result can hold
    /// one, or else an empty result.
    template <typename Body>
    auto call(const Body& body) const -> std::invoke_result_t<const Body&, T&> {
        using Outcome = std::invoke_result_t<const Body&, T&>;
        Status usable = check();
        if (usable.ok()) return body(*object_);
        if constexpr (std::is_void_v<Outcome>) {
            return;
        } else if constexpr (std::is_constructible_v<Outcome, Status>) {
            return Outcome(std::move(usable));
        } else {
            return Outcome();
        }
    }

private:
    OwnerProcess owner_;
    std::unique_ptr<T> object_;
};

}  // namespace molink
