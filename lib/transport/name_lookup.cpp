// A thread exists while there are names that no other thread resolves. Nobody can interrupt the
// system's resolver, and it may take half a minute, so threads are not waited for: they share their
// state with the lookup, and what they find after the end of the lookup is dropped.
#include "transport/name_lookup.h"

#include <map>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "base/peer_limits.h"
#include "base/resources.h"
#include "base/thread_start.h"

namespace molink {

struct NameLookup::State {
    /// A name, and the connections that wait for it.
    struct Wanted {
        std::vector<ConnectionId> connections;
        bool begun = false;  // a thread resolves it
    };

    std::mutex mutex;
    std::function<void()> ready;  // under mutex; empty after the end of the lookup
    Resolve resolve;
    std::map<std::string, Wanted> wanted;  // under mutex; by host
    std::vector<Answer> answers;           // under mutex
    std::size_t threads = 0;               // under mutex

    /// Answers the connections that wait for a name.
    void answer(const std::string& host, const Addresses& addresses) {
        for (ConnectionId connection : wanted[host].connections) {
            answers.push_back({connection, addresses});
        }
        wanted.erase(host);
        if (ready) ready();
    }
    /// Returns a name that no thread resolves, and marks it as begun.
    std::optional<std::string> next() {
        for (auto& [host, one] : wanted) {
            if (!std::exchange(one.begun, true)) return host;
        }
        return std::nullopt;
    }
};

NameLookup::NameLookup(std::function<void()> ready, Resolve resolve)
    : state_(std::make_shared<State>()) {
    state_->ready = std::move(ready);
    state_->resolve = std::move(resolve);
}

NameLookup::~NameLookup() {
    const std::lock_guard lock(state_->mutex);
    state_->ready = nullptr;
    std::erase_if(state_->wanted, [](const auto& entry) { return !entry.second.begun; });
}

void NameLookup::begin(ConnectionId connection, const std::string& host) {
    const std::lock_guard lock(state_->mutex);
    const auto [entry, is_new] = state_->wanted.try_emplace(host);
    entry->second.connections.push_back(connection);
    if (!is_new || state_->threads >= limits::kMaxNameLookups) return;
    try {
        std::thread([state = state_] { run(state); }).detach();
        ++state_->threads;
    } catch (const std::system_error& error) {
        if (state_->threads > 0) return;  // another one will resolve it
        state_->answer(host, shortage_of("resolve the host name '" + host + "'", error));
    }
}

void NameLookup::run(const std::shared_ptr<State>& state) {
    begin_thread("molink-names");
    std::unique_lock lock(state->mutex);
    while (const auto host = state->next()) {
        lock.unlock();
        const Addresses addresses = report_shortage("resolve the host name '" + *host + "'",
                                                    [&] { return state->resolve(*host); });
        lock.lock();
        state->answer(*host, addresses);
    }
    --state->threads;
}

std::vector<NameLookup::Answer> NameLookup::take() {
    const std::lock_guard lock(state_->mutex);
    return std::exchange(state_->answers, {});
}

}  // namespace molink
