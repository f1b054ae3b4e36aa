// The table of requests: each completion and each request ends with exactly one last event.
#include "engine/request_table.h"

#include "engine_samples.h"
#include "support/catch.h"

using namespace molink;
using test::admitted;

namespace {

class Events final : public RequestEventSink {
public:
    void on_request_event(RequestEvent event) override { all.push_back(std::move(event)); }
    std::vector<RequestEvent> all;
};

constexpr Token kEos = 9;

}  // namespace

TEST_CASE("each completion ends once, and the last one ends the request") {
    Events events;
    RequestTable table({kEos}, nullptr, events);
    AdmittedRequest request = admitted(7, 3, 4);
    request.n = 2;
    const auto sequences = table.add(std::move(request), 7, 100);
    REQUIRE(sequences.size() == 2);
    REQUIRE(table.unfinished(RequestId(7)).size() == 2);
    table.end(*sequences[1], FinishReason::length, Status(), 200);
    REQUIRE(events.all.size() == 1);
    REQUIRE_FALSE(events.all[0].last);
    REQUIRE(events.all[0].index == 1);
    REQUIRE(table.unfinished_requests() == std::vector<RequestId>{RequestId(7)});
    table.end(*sequences[0], FinishReason::cancelled, Status(), 300);
    REQUIRE(events.all[1].last);
    REQUIRE(table.unfinished_requests().empty());
    REQUIRE(table.find(sequences[0]->view.id) == sequences[0]);
    table.erase(sequences[0]->view.id);
    REQUIRE(table.sequences().size() == 1);
}

TEST_CASE("a completion ends at its length or at a stop token") {
    Events events;
    RequestTable table({kEos}, nullptr, events);
    AdmittedRequest request = admitted(1, 2, 2);
    request.stop_tokens = {5};
    Sequence& sequence = *table.add(std::move(request), 4, 0).front();
    REQUIRE(table.append_token(sequence, 3, nullptr, 10) == FinishReason::none);
    REQUIRE(table.append_token(sequence, 5, nullptr, 11) == FinishReason::stop);
    REQUIRE(table.append_token(sequence, kEos, nullptr, 12) == FinishReason::stop);
    REQUIRE(sequence.output_count == 1);  // stop tokens do not count as output
    REQUIRE(table.append_token(sequence, 4, nullptr, 13) == FinishReason::length);
    REQUIRE(sequence.tokens == std::vector<Token>{0, 1, 3, 4});
    REQUIRE(sequence.view.tokens.size() == 4);
    REQUIRE(events.all.size() == 2);
}

TEST_CASE("end-of-sequence tokens are output when a request ignores them") {
    Events events;
    RequestTable table({kEos}, nullptr, events);
    AdmittedRequest request = admitted(1, 2, 5);
    request.ignore_eos = true;
    Sequence& sequence = *table.add(std::move(request), 7, 0).front();
    REQUIRE(table.append_token(sequence, kEos, nullptr, 10) == FinishReason::none);
    REQUIRE(events.all[0].tokens == std::vector<Token>{kEos});
}

TEST_CASE("ends are counted by their reason") {
    Events events;
    RequestTable table({}, nullptr, events);
    std::uint64_t id = 1;
    for (FinishReason reason :
         {FinishReason::stop, FinishReason::length, FinishReason::cancelled, FinishReason::error}) {
        Sequence& sequence = *table.add(admitted(id++, 1, 1), 2, 0).front();
        table.end(sequence, reason, Status(), 5);
    }
    table.count_refusal();
    MetricsSnapshot metrics;
    table.fill_metrics(metrics);
    REQUIRE(metrics.requests_submitted == 4);
    REQUIRE(metrics.requests_finished == 2);
    REQUIRE(metrics.requests_cancelled == 1);
    REQUIRE(metrics.requests_failed == 1);
    REQUIRE(metrics.requests_refused == 1);
    REQUIRE(metrics.requests_under_way == 0);
}

TEST_CASE("the counts of requests and completions balance at any moment") {
    Events events;
    RequestTable table({}, nullptr, events);
    MetricsSnapshot now;
    const auto balances = [&] {
        now = MetricsSnapshot();
        table.fill_metrics(now);
        return now.requests_submitted == now.requests_under_way + now.requests_finished +
                                             now.requests_failed + now.requests_cancelled &&
               now.completions_submitted == now.completions_under_way + now.completions_finished +
                                                now.completions_failed + now.completions_cancelled;
    };
    AdmittedRequest request = admitted(1, 2, 2);
    request.n = 3;
    const std::vector<Sequence*> three = table.add(std::move(request), 4, 0);
    Sequence& other = *table.add(admitted(2, 1, 1), 2, 0).front();
    REQUIRE(balances());
    REQUIRE(now.requests_under_way == 2);
    REQUIRE(now.completions_under_way == 4);
    table.end(*three[0], FinishReason::error, Status(), 1);
    table.end(other, FinishReason::length, Status(), 2);
    REQUIRE(balances());
    table.end(*three[1], FinishReason::cancelled, Status(), 3);
    REQUIRE(balances());
    REQUIRE(now.requests_under_way == 1);
    table.end(*three[2], FinishReason::stop, Status(), 4);
    REQUIRE(balances());
    REQUIRE(now.requests_failed == 1);  // one of its completions did
    REQUIRE(now.requests_finished == 1);
    REQUIRE(now.requests_cancelled == 0);
    REQUIRE(now.completions_finished == 2);
    REQUIRE(now.completions_cancelled == 1);
}
