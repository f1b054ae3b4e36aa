// Fills a molink_event from a RequestEvent. Log-probabilities become flat arrays, because fields
// could not be added to structs in an array. All other pointers refer to the RequestEvent, which is
// stored in the same object.
#include "event.h"

#include <utility>

namespace molink::capi {

Event::Event(RequestEvent event, void* data) : molink_event{}, event_(std::move(event)) {
    struct_size = sizeof(molink_event);
    request = event_.request.value;
    user_data = data;
    index = event_.index;
    finish_reason = static_cast<std::int32_t>(event_.finish_reason);
    last = event_.last ? 1 : 0;
    status = static_cast<std::int32_t>(event_.status.code());
    message = event_.status.message().c_str();
    text = event_.text.c_str();
    text_size = event_.text.size();
    tokens = event_.tokens.data();
    token_count = event_.tokens.size();
    if (!event_.logprobs.empty()) fill_logprobs();
    prompt_token_count = event_.prompt_token_count;
    cached_token_count = event_.cached_token_count;
    output_token_count = event_.output_token_count;
    time_to_first_token_us = event_.time_to_first_token_us;
    total_us = event_.total_us;
    logit_hashes = event_.logit_hashes.data();
    logit_hash_count = event_.logit_hashes.size();
}

void Event::fill_logprobs() {
    for (const TokenLogprobs& token : event_.logprobs) {
        logprobs_.push_back(token.logprob);
        top_offsets_.push_back(top_tokens_.size());
        for (const TokenLogprob& top : token.top) {
            top_tokens_.push_back(top.token);
            top_logprobs_.push_back(top.logprob);
        }
    }
    top_offsets_.push_back(top_tokens_.size());
    logprobs = logprobs_.data();
    top_offsets = top_offsets_.data();
    top_tokens = top_tokens_.data();
    top_logprobs = top_logprobs_.data();
}

}  // namespace molink::capi
