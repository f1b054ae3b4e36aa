// The thread exists while there are names to resolve. Nobody can interrupt the system's resolver,
// and it may take half a minute, so the thread is not waited for: it shares its state with the
// lookup, and what it finds after the end of the lookup is dropped.
#include "transport/name_lookup.h"

#include <algorithm>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "base/resources.h"
#include "base/thread_start.h"

namespace molink {

struct NameLookup::State {
    /// A name, and the connections that wait for it.
    struct Wanted {
        std::string host;
        std::vector<ConnectionId> connections;
    };

    std::mutex mutex;
    std::function<void()> ready;  // under mutex; empty after the end of the lookup
    Resolve resolve;
    std::deque<Wanted> wanted;    // under mutex; the first one is being resolved
    std::vector<Answer> answers;  // under mutex
    bool runs = false;            // under mutex

    /// Answers the connections that wait for the first name.
    void answer(const Addresses& addresses) {
        for (ConnectionId connection : wanted.front().connections) {
            answers.push_back({connection, addresses});
        }
        wanted.pop_front();
        if (ready) ready();
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
    // The thread ends after the name that it is at.
    if (state_->wanted.size() > 1) state_->wanted.resize(1);
}

void NameLookup::begin(ConnectionId connection, const std::string& host) {
    const std::lock_guard lock(state_->mutex);
    const auto same = std::find_if(state_->wanted.begin(), state_->wanted.end(),
                                   [&](const State::Wanted& one) { return one.host == host; });
    if (same != state_->wanted.end()) {
        same->connections.push_back(connection);
        return;
    }
    state_->wanted.push_back({host, {connection}});
    if (state_->runs) return;
    try {
        std::thread([state = state_] { run(state); }).detach();
        state_->runs = true;
    } catch (const std::system_error& error) {
        state_->answer(shortage_of("resolve the host name '" + host + "'", error));
    }
}

void NameLookup::run(const std::shared_ptr<State>& state) {
    begin_thread("molink-names");
    std::unique_lock lock(state->mutex);
    while (!state->wanted.empty()) {
        const std::string host = state->wanted.front().host;
        lock.unlock();
        const Addresses addresses = report_shortage("resolve the host name '" + host + "'",
                                                    [&] { return state->resolve(host); });
        lock.lock();
        state->answer(addresses);
    }
    state->runs = false;
}

std::vector<NameLookup::Answer> NameLookup::take() {
    const std::lock_guard lock(state_->mutex);
    return std::exchange(state_->answers, {});
}

}  // namespace molink
