// Reads the bytes of a connection as a server does. However they are cut into portions, the
// requests, the faults and the rest are the same; bodies, heads and fields are within their limits;
// and a request that is accepted has one Host and at most one length.
#include <algorithm>
#include <string>
#include <vector>

#include "fuzz_input.h"
#include "http/request_reader.h"

using namespace molink;
using namespace molink::examples;

namespace {

constexpr std::size_t kBudget = 64u << 10;
constexpr std::size_t kMostRequests = 8;

HttpLimits limits() {
    HttpLimits limits;
    limits.request_line_bytes = 200;
    limits.head_bytes = 600;
    limits.fields = 12;
    limits.body_bytes = 300;
    limits.chunk_line_bytes = 100;
    return limits;
}

struct Seen {
    std::vector<HttpRequest> requests;
    int fault = 0;
};

void check_request(const HttpRequest& request, const HttpLimits& bounds) {
    const auto count = [&](std::string_view name) {
        return std::count_if(request.fields.begin(), request.fields.end(),
                             [&](const HttpField& field) { return field.name == name; });
    };
    FUZZ_CHECK(request.body.size() <= bounds.body_bytes);
    FUZZ_CHECK(request.fields.size() <= bounds.fields);
    FUZZ_CHECK(request.target.size() <= bounds.request_line_bytes);
    FUZZ_CHECK(count("content-length") + count("transfer-encoding") <= 1);
    FUZZ_CHECK(count("host") == 1 || (count("host") == 0 && request.minor_version == 0));
    FUZZ_CHECK(request.path == "*" || request.path.front() == '/');
    FUZZ_CHECK(request.path.find("//") == std::string::npos);
    for (const HttpField& field : request.fields) {
        FUZZ_CHECK(field.value.find_first_of("\r\n") == std::string::npos);
    }
}

Seen read(std::string_view bytes, std::size_t portion) {
    const HttpLimits bounds = limits();
    Seen seen;
    {
        const auto budget = std::make_shared<BodyBudget>(kBudget);
        std::string waiting;
        auto reader = std::make_unique<RequestReader>(bounds, budget);
        while (seen.requests.size() < kMostRequests) {
            std::size_t used = 0;
            const RequestReader::Step step = reader->feed(waiting, used);
            FUZZ_CHECK(used <= waiting.size());
            waiting.erase(0, used);
            if (step == RequestReader::Step::bad) {
                seen.fault = reader->fault().status;
                FUZZ_CHECK(seen.fault >= 400 && !reader->fault().message.empty());
                break;
            }
            if (step == RequestReader::Step::done) {
                check_request(reader->request(), bounds);
                seen.requests.push_back(std::move(reader->request()));
                reader = std::make_unique<RequestReader>(bounds, budget);
            } else if (step == RequestReader::Step::more) {
                if (bytes.empty()) break;
                waiting += bytes.substr(0, portion);
                bytes.remove_prefix(std::min(portion, bytes.size()));
            }
        }
        for (HttpRequest& request : seen.requests) request.body_lease.reset();
        reader.reset();
        FUZZ_CHECK(budget->left() == kBudget);
    }
    return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::FuzzInput input(data, size);
    const std::size_t portion = 1 + input.below(64);
    const std::string_view bytes = input.rest();
    const Seen whole = read(bytes, bytes.size() + 1);
    const Seen parts = read(bytes, portion);
    FUZZ_CHECK(whole.requests.size() == parts.requests.size());
    for (std::size_t i = 0; i < whole.requests.size(); ++i) {
        FUZZ_CHECK(whole.requests[i].method == parts.requests[i].method);
        FUZZ_CHECK(whole.requests[i].path == parts.requests[i].path);
        FUZZ_CHECK(whole.requests[i].body == parts.requests[i].body);
    }
    FUZZ_CHECK((whole.fault != 0) == (parts.fault != 0));
    return 0;
}
