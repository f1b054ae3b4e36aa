#pragma once

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "support/catch.h"
#include "support/http_client.h"
#include "support/process.h"

namespace molink::test {

inline const std::string kServedModel = std::string(MOLINK_SOURCE_DIR) + "/examples/models/kjv";

/// molink-serve with `workers` workers and the bundled model. The constructor returns when it is
/// ready, or without `wait` when it answers without its workers.
struct Served {
    explicit Served(int workers, const std::vector<std::string>& more = {}, bool wait = true,
                    bool https = false) {
        const std::string join = "tcp://127.0.0.1:" + std::to_string(free_port());
        std::vector<std::string> flags{
            "--model",       kServedModel, "--threads", "1",
            "--listen",      join,         "--stages",  std::to_string(workers + 1),
            "--partitioner", "even",       "--http",    "127.0.0.1:" + std::to_string(port)};
        flags.insert(flags.end(), more.begin(), more.end());
        const std::string bin = MOLINK_BIN_DIR;
        processes.push_back(std::make_unique<Process>(bin + "/molink-serve", flags));
        for (int i = 0; wait && i < workers; ++i) {
            processes.push_back(std::make_unique<Process>(
                bin + "/molink-worker",
                std::vector<std::string>{"--model", kServedModel, "--threads", "1", "--join", join,
                                         "--give-up-after", "0", "--name",
                                         "worker-" + std::to_string(i)}));
        }
        if (!https) {
            REQUIRE(until([&] { return get("/health").status == (wait ? 200 : 503); }));
        }
    }

    HttpAnswer get(const std::string& path) const { return http_request(port, "GET", path); }
    HttpAnswer complete(const std::string& body) const {
        return http_request(port, "POST", "/v1/completions", body);
    }
    /// Repeats `done` until it is true, at most 3,000 times with pauses of 20 ms.
    template <typename Done>
    bool until(Done done) const {
        for (int i = 0; i < 3000; ++i) {
            if (done()) return true;
            std::promise<void>().get_future().wait_for(std::chrono::milliseconds(20));
        }
        return false;
    }
    bool shows(const std::string& metric) const {
        return get("/metrics").body.find("\n" + metric + "\n") != std::string::npos;
    }
    Process& server() const { return *processes[0]; }

    int port = free_port();
    std::vector<std::unique_ptr<Process>> processes;
};

/// Returns the body of a greedy completion of "In the beginning" with further members.
inline std::string completion_body(const std::string& more) {
    return R"({"model":"kjv","prompt":"In the beginning","temperature":0)" + more + "}";
}

/// Returns a request with the body, ready to be sent.
inline std::string post_text(const std::string& body, const std::string& fields = {}) {
    return "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
           "application/json\r\n" +
           fields + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

/// Returns the value after the first `"key":`, which is a string without escapes or a number.
inline std::string value_of(const std::string& json, const std::string& key) {
    const std::size_t at = json.find("\"" + key + "\":");
    if (at == std::string::npos) return {};
    const std::size_t begin = at + key.size() + 3;
    if (json[begin] == '"') return json.substr(begin + 1, json.find('"', begin + 1) - begin - 1);
    return json.substr(begin, json.find_first_of(",}]", begin) - begin);
}

}  // namespace molink::test
