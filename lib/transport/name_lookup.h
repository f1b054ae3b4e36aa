#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <molink/status.h>
#include <molink/types.h>

namespace molink {

/// Resolves the host names that connections wait for, on threads of its own, so that a slow name
/// server stops neither the node's loop nor other names. Up to limits::kMaxNameLookups names are
/// resolved at the same time. Connections that wait for the same name are answered at once. Thread:
/// the node's loop.
class NameLookup {
public:
    using Addresses = Result<std::vector<std::string>>;
    using Resolve = std::function<Addresses(const std::string& host)>;
    struct Answer {
        ConnectionId connection;
        Addresses addresses;
    };

    /// `ready` is called on another thread when there are answers. `resolve` may block; it is
    /// called on the other thread, perhaps after the end of this object.
    NameLookup(std::function<void()> ready, Resolve resolve);
    /// Does not wait for names that are being resolved.
    ~NameLookup();
    NameLookup(const NameLookup&) = delete;
    NameLookup& operator=(const NameLookup&) = delete;

    /// Begins to resolve the host of a connection.
    void begin(ConnectionId connection, const std::string& host);
    /// Returns what was resolved since the last call.
    std::vector<Answer> take();

private:
    struct State;
    static void run(const std::shared_ptr<State>& state);

    std::shared_ptr<State> state_;
};

}  // namespace molink
