#pragma once

#include <string>
#include <vector>

#include <molink.h>
#include <molink/request.h>

namespace molink::capi {

/// A RequestEvent with its C face, which points into it; a molink_event from a queue is one of
/// these. Neither copied nor moved.
class Event final : public molink_event {
public:
    Event(RequestEvent event, void* data);
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;

private:
    void fill_logprobs();

    RequestEvent event_;
    std::vector<float> logprobs_;
    std::vector<std::size_t> top_offsets_;
    std::vector<std::int32_t> top_tokens_;
    std::vector<float> top_logprobs_;
};

}  // namespace molink::capi
