#pragma once

#include <string>
#include <vector>

#include <molink.h>
#include <molink/request.h>

namespace molink::capi {

/// A RequestEvent and the molink_event that points into it. Events from a queue have this type. It
/// is neither copied nor moved, because that would break the pointers.
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
