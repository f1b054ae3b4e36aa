// Runs the C interface on one engine with a tiny model. The input is a program of calls in any
// order with any values, including wrong sizes and missing pointers. An accepted request ends
// exactly once, its finalizer is called after that, and a call that fails does not change its
// outputs.
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <molink.h>

#include "capi_structs.h"
#include "fuzz_input.h"
#include "scratch_dir.h"
#include "support/tiny_model.h"

using namespace molink::fuzz;

namespace {

constexpr int kMaxSteps = 60;
constexpr std::size_t kMaxOutstanding = 12;
constexpr std::uint64_t kUntouched = 0x5a5a5a5a5a5a5a5aull;

/// What is known of one request.
struct Tracked {
    std::int32_t completions = 1;
    int finished = 0;
    int last = 0;
    int finalized = 0;
    bool is_queued = false;  // or refused: settle() does not wait for it
    const molink_queue* queue = nullptr;
    bool close_inside = false;
};

class Ledger {
public:
    Tracked* open(std::int32_t completions, bool is_queued) {
        const std::lock_guard lock(mutex_);
        requests_.push_back(std::make_unique<Tracked>());
        requests_.back()->completions = completions;
        requests_.back()->is_queued = is_queued;
        return requests_.back().get();
    }
    void add_event(Tracked& request, const molink_event& event) {
        const std::lock_guard lock(mutex_);
        FUZZ_CHECK(request.last == 0 && request.finalized == 0);
        FUZZ_CHECK(event.struct_size >= sizeof(molink_event));
        FUZZ_CHECK(event.index >= 0 && event.index < request.completions);
        FUZZ_CHECK(is_utf8({event.text, event.text_size}));
        if (event.finish_reason != MOLINK_FINISH_NONE) ++request.finished;
        const bool failed = event.finish_reason == MOLINK_FINISH_CANCELLED ||
                            event.finish_reason == MOLINK_FINISH_ERROR;
        FUZZ_CHECK(event.status == MOLINK_OK || failed);
        for (std::size_t i = 0; i < event.token_count; ++i) {
            FUZZ_CHECK(event.tokens[i] >= 0);
            if (event.top_offsets == nullptr) continue;
            FUZZ_CHECK(event.top_offsets[i] <= event.top_offsets[i + 1]);
        }
        request.last += event.last != 0 ? 1 : 0;
        FUZZ_CHECK(request.last == 0 || request.finished == request.completions);
        changed_.notify_all();
    }
    void finalize(Tracked& request) {
        const std::lock_guard lock(mutex_);
        FUZZ_CHECK(++request.finalized == 1 && request.last == 1);
        changed_.notify_all();
    }
    /// Waits until every request with a callback has ended and been finalized.
    void settle() {
        std::unique_lock lock(mutex_);
        const auto settled = [this] {
            for (const auto& request : requests_) {
                if (!request->is_queued && request->finalized == 0) return false;
            }
            return true;
        };
        FUZZ_CHECK(changed_.wait_for(lock, std::chrono::seconds(8), settled));
    }
    /// Returns the number of requests of a queue that have not had their last event.
    std::size_t open_on(const molink_queue* queue) {
        const std::lock_guard lock(mutex_);
        std::size_t count = 0;
        for (const auto& request : requests_) {
            if (request->queue == queue && request->last == 0) ++count;
        }
        return count;
    }
    /// Call it before the queue is destroyed, because another one may get its address.
    void forget(const molink_queue* queue) {
        for (const auto& request : requests_) {
            if (request->queue == queue) request->queue = nullptr;
        }
    }
    std::size_t size() const { return requests_.size(); }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::unique_ptr<Tracked>> requests_;
};

molink_engine* shared_engine();

/// The user data of a request: where its events are recorded.
struct Slot {
    Ledger* ledger;
    Tracked* request;
};

void on_event(void* user_data, const molink_event* event) {
    const auto* slot = static_cast<const Slot*>(user_data);
    FUZZ_CHECK(event->user_data == user_data);
    if (slot->request->close_inside) {
        FUZZ_CHECK(code_of(molink_engine_close(shared_engine())) == MOLINK_FAILED_PRECONDITION);
        FUZZ_CHECK(code_of(molink_engine_destroy(shared_engine())) == MOLINK_FAILED_PRECONDITION);
    }
    slot->ledger->add_event(*slot->request, *event);
}

void on_finalize(void* user_data) {
    const auto* slot = static_cast<const Slot*>(user_data);
    slot->ledger->finalize(*slot->request);
    delete slot;
}

const std::string& model_dir() {
    static ScratchDir scratch;
    static const std::string dir = [] {
        TinyModelOptions options;
        options.layers = 1;
        options.hidden = 16;
        options.q_heads = options.kv_heads = 1;
        options.ffn = 16;
        options.context = 96;
        options.eos_tokens = {kTinyEos};
        const std::string path = scratch.path() + "/model";
        FUZZ_CHECK(write_tiny_model(path, options).ok());
        return path;
    }();
    return dir;
}

molink_engine* shared_engine() {
    static const struct Owner {
        Owner() {
            molink_engine_options options = MOLINK_ENGINE_OPTIONS_INIT;
            options.model_dir = model_dir().c_str();
            options.memory_bytes = 8 << 20;
            options.threads = 1;
            options.max_running = 4;
            options.max_waiting = 16;
            FUZZ_CHECK(code_of(molink_engine_create(&options, &engine)) == MOLINK_OK);
            FUZZ_CHECK(code_of(molink_engine_wait_ready(engine, 20'000'000)) == MOLINK_OK);
        }
        ~Owner() { (void)code_of(molink_engine_destroy(engine)); }
        molink_engine* engine = nullptr;
    } owner;
    return owner.engine;
}

class Program {
public:
    Program(const std::uint8_t* data, std::size_t size) : input_(data, size) {}

    void run() {
        for (int step = 0; step < kMaxSteps && !input_.empty(); ++step) one_step();
        for (const std::uint64_t id : accepted_) {
            FUZZ_CHECK(code_of(molink_engine_cancel(engine_, id)) == MOLINK_OK);
        }
        ledger_.settle();
        while (!queues_.empty()) {
            while (ledger_.open_on(queues_.front()) > 0) {
                FUZZ_CHECK(pop_event(queues_.front(), 8'000'000));
            }
            close_queue(0);
        }
    }

private:
    void one_step() {
        switch (input_.below(15)) {
            case 0:
            case 1: submit(); break;
            case 2: submit_to_queue(); break;
            case 3: next_event(); break;
            case 4: cancel(); break;
            case 5: new_queue(); break;
            case 6: close_queue(input_.u8()); break;
            case 7: tokenize(); break;
            case 8: detokenize(); break;
            case 9: check_metrics(input_, engine_); break;
            case 10: check_cluster(input_, engine_); break;
            case 11: check_names(input_); break;
            case 12: check_options(input_); break;
            case 13:
                if (!std::exchange(had_another_, true)) another_engine();
                break;
            default: check_missing(input_, engine_); break;
        }
    }

    void submit() {
        if (ledger_.size() >= kMaxOutstanding) return;
        AnyRequest request(input_);
        const std::uint8_t how = input_.u8();
        Tracked* tracked = ledger_.open(request.completions(), true);
        tracked->close_inside = (how & 3) == 1;
        auto slot = std::make_unique<Slot>(Slot{&ledger_, tracked});
        std::uint64_t id = kUntouched;
        // Set before its events may arrive. Undone below when the request is refused.
        tracked->is_queued = false;
        molink_engine* engine = how < 250 ? engine_ : nullptr;
        molink_event_fn callback = (how & 0x1c) != 0x1c ? on_event : nullptr;
        molink_finalizer finalizer = on_finalize;
        const std::int32_t code = code_of(
            molink_engine_submit(engine, request.get(), callback, slot.get(), finalizer, &id));
        if (code != MOLINK_OK) {
            FUZZ_CHECK(id == kUntouched && tracked->finalized == 0 && tracked->last == 0);
            tracked->is_queued = true;  // nothing to wait for
            return;
        }
        FUZZ_CHECK(engine != nullptr && callback != nullptr && request.may_pass());
        slot.release();  // on_finalize frees it
        accepted_.push_back(id);
    }

    void submit_to_queue() {
        if (ledger_.size() >= kMaxOutstanding) return;
        AnyRequest request(input_);
        molink_queue* queue = queues_.empty() ? nullptr : queues_[input_.u8() % queues_.size()];
        Tracked* tracked = ledger_.open(request.completions(), true);
        std::uint64_t id = kUntouched;
        const std::int32_t code =
            code_of(molink_engine_submit_to_queue(engine_, request.get(), queue, tracked, &id));
        FUZZ_CHECK((code == MOLINK_OK) == (id != kUntouched));
        if (code != MOLINK_OK) return;
        FUZZ_CHECK(queue != nullptr && request.may_pass());
        tracked->queue = queue;
        accepted_.push_back(id);
    }

    void next_event() {
        molink_queue* queue = queues_.empty() ? nullptr : queues_[input_.u8() % queues_.size()];
        (void)pop_event(queue, input_.u8() * 10);
    }

    /// Returns false when no event arrives within `timeout_us`.
    bool pop_event(molink_queue* queue, std::int64_t timeout_us) {
        const molink_event* event = nullptr;
        const std::int32_t code = code_of(molink_queue_next(queue, timeout_us, &event));
        FUZZ_CHECK((code == MOLINK_OK) == (queue != nullptr));
        if (event == nullptr) return false;
        ledger_.add_event(*static_cast<Tracked*>(event->user_data), *event);
        molink_event_release(event);
        return true;
    }

    /// Makes a second engine, uses it while it may still load, and destroys it with its request.
    void another_engine() {
        molink_engine_options options = MOLINK_ENGINE_OPTIONS_INIT;
        options.model_dir = model_dir().c_str();
        options.memory_bytes = 8 << 20;
        options.threads = 1;
        options.max_running = 1 + input_.u8() % 4;
        options.prefix_cache = input_.coin();
        molink_engine* engine = nullptr;
        FUZZ_CHECK(code_of(molink_engine_create(&options, &engine)) == MOLINK_OK);
        const std::int32_t waited = code_of(molink_engine_wait_ready(engine, input_.u8() * 200));
        FUZZ_CHECK(waited == MOLINK_OK || waited == MOLINK_DEADLINE_EXCEEDED);
        Ledger ledger;
        AnyRequest request(input_);
        Tracked* tracked = ledger.open(request.completions(), false);
        auto slot = std::make_unique<Slot>(Slot{&ledger, tracked});
        const std::int32_t code = code_of(molink_engine_submit(engine, request.get(), on_event,
                                                               slot.get(), on_finalize, nullptr));
        if (code == MOLINK_OK) slot.release();
        if (input_.coin()) FUZZ_CHECK(code_of(molink_engine_close(engine)) == MOLINK_OK);
        FUZZ_CHECK(code_of(molink_engine_destroy(engine)) == MOLINK_OK);
        // The events arrived before destroy returned.
        FUZZ_CHECK(tracked->last == (code == MOLINK_OK) && tracked->finalized == tracked->last);
    }

    void cancel() {
        const std::uint8_t which = input_.u8();
        const bool known = which < 200 && !accepted_.empty();
        const std::uint64_t id = known ? accepted_[which % accepted_.size()] : input_.u64();
        FUZZ_CHECK(code_of(molink_engine_cancel(engine_, id)) == MOLINK_OK);
    }

    void new_queue() {
        if (queues_.size() >= 3) return;
        molink_queue* queue = nullptr;
        FUZZ_CHECK(code_of(molink_queue_create(&queue)) == MOLINK_OK && queue != nullptr);
        queues_.push_back(queue);
    }

    void close_queue(std::size_t which) {
        if (queues_.empty()) return;
        const auto at = queues_.begin() + static_cast<std::ptrdiff_t>(which % queues_.size());
        ledger_.forget(*at);
        molink_queue_destroy(*at);
        queues_.erase(at);
    }

    void tokenize() {
        const std::string text(input_.text(input_.u8()));
        std::vector<std::int32_t> tokens(input_.u8() % 64, -7);
        std::size_t count = kUntouched;
        const std::int32_t code = code_of(molink_engine_tokenize(
            engine_, text.data(), text.size(), input_.u8(), tokens.data(), tokens.size(), &count));
        FUZZ_CHECK((code == MOLINK_OK) == is_utf8(text));
        FUZZ_CHECK((code == MOLINK_OK) == (count != kUntouched));
        for (std::size_t i = 0; i < tokens.size(); ++i) {
            const bool written = code == MOLINK_OK && i < count;
            FUZZ_CHECK(written ? tokens[i] >= 0 : tokens[i] == -7);
        }
    }

    void detokenize() {
        std::vector<std::int32_t> tokens(input_.u8() % 32);
        for (std::int32_t& token : tokens) {
            const std::uint8_t how = input_.u8();
            token = how < 240 ? how : static_cast<std::int32_t>(input_.u32());
        }
        std::vector<char> text(input_.u8() % 64, '?');
        std::size_t size = kUntouched;
        FUZZ_CHECK(code_of(molink_engine_detokenize(engine_, tokens.data(), tokens.size(),
                                                    text.data(), text.size(), &size)) == MOLINK_OK);
        FUZZ_CHECK(size != kUntouched);
    }

    FuzzInput input_;
    molink_engine* engine_ = shared_engine();
    Ledger ledger_;
    std::vector<std::uint64_t> accepted_;
    std::vector<molink_queue*> queues_;
    bool had_another_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Program(data, size).run();
    return 0;
}
