#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

#include <molink/engine.h>

#include "http/http_handler.h"
#include "serve/completion_answer.h"
#include "serve/completion_request.h"

namespace molink::examples {

/// One POST /v1/completions from its submission to its answer. Events of the engine wait in an
/// inbox; text is made from them on a pool, so that neither the engine's delivery nor input and
/// output wait for it. Lives as long as the engine or the pool refers to it.
class CompletionJob : public std::enable_shared_from_this<CompletionJob> {
public:
    /// `pool`: where answers are made. `place`: released when the job has ended. The engine must
    /// outlive the job.
    CompletionJob(Engine& engine, boost::asio::any_io_executor pool,
                  std::shared_ptr<HttpExchange> exchange, CompletionRequest request, std::string id,
                  std::shared_ptr<void> place);

    /// Submits the prompts, which takes as long as their tokens. If one is refused, answers with
    /// its error and cancels the others. Call it once. Thread: any.
    void submit();

private:
    void deliver(std::size_t prompt, const RequestEvent& event);
    void open();
    void drain();
    void answer();
    void fail();
    void end();
    void cancel();

    Engine& engine_;
    boost::asio::any_io_executor pool_;
    CompletionRequest request_;

    std::mutex mutex_;
    std::shared_ptr<HttpExchange> exchange_;                  // under mutex_; null after the end
    std::shared_ptr<void> place_;                             // under mutex_
    std::vector<RequestId> submitted_;                        // under mutex_
    std::deque<std::pair<std::size_t, RequestEvent>> inbox_;  // under mutex_; prompt, event
    bool is_open_ = false;                                    // under mutex_; all were submitted
    bool is_draining_ = false;                                // under mutex_
    bool is_cancelled_ = false;                               // under mutex_

    // Only in drain(), which runs once at a time.
    CompletionAnswer answer_;
    bool has_started_ = false;
};

}  // namespace molink::examples
