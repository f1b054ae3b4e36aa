// See capi_structs.h. Most sizes are right, or no code after the size check would ever run.
#include "capi_structs.h"

#include <cstddef>
#include <cstring>

namespace molink::fuzz {
namespace {

/// Returns the size that a struct claims. It is a multiple of four, so that no field is cut in two.
std::size_t claimed_size(FuzzInput& input, std::size_t right) {
    const std::uint8_t how = input.u8();
    if (how < 192) return right;
    if (how < 232) return input.below(right / 4 + 1) * 4;
    return right + 8 * (how % 4);
}

/// A struct that the library fills in.
template <typename T>
class OutStruct {
public:
    explicit OutStruct(FuzzInput& input)
        : size_(claimed_size(input, sizeof(T))),
          block_(std::make_unique<std::byte[]>(size_ < sizeof(size_t) ? sizeof(size_t) : size_)),
          is_missing_(input.u8() == 255) {
        std::memcpy(block_.get(), &size_, sizeof(size_));
    }
    T* get() { return is_missing_ ? nullptr : reinterpret_cast<T*>(block_.get()); }
    bool is_whole() const { return !is_missing_ && size_ == sizeof(T); }

private:
    std::size_t size_;
    std::unique_ptr<std::byte[]> block_;
    bool is_missing_;
};

float any_float(FuzzInput& input) {
    const std::uint8_t how = input.u8();
    if (how < 200) return static_cast<float>(how) / 100.0f - 0.5f;
    const std::uint32_t bits = input.u32();
    float value = 0;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
}

/// Returns a number that is mostly within [low, high].
std::int32_t any_int(FuzzInput& input, std::int32_t low, std::int32_t high) {
    const std::uint8_t how = input.u8();
    if (how >= 240) return static_cast<std::int32_t>(input.u32());
    return low + how % (high - low + 1);
}

std::vector<std::int32_t> any_tokens(FuzzInput& input, std::size_t most) {
    std::vector<std::int32_t> tokens(input.below(most + 1));
    for (std::int32_t& token : tokens) token = any_int(input, 0, 239);
    return tokens;
}

}  // namespace

std::int32_t code_of(molink_error* error) {
    const std::int32_t code = molink_error_code(error);
    FUZZ_CHECK((error == nullptr) == (code == MOLINK_OK));
    FUZZ_CHECK(code >= MOLINK_OK && code < MOLINK_INTERNAL);
    const std::string message = molink_error_message(error);
    FUZZ_CHECK(message.empty() == (error == nullptr));
    FUZZ_CHECK(std::string(molink_status_name(code)) != "unknown");
    molink_error_release(error);
    return code;
}

AnyRequest::AnyRequest(FuzzInput& input) {
    fill_prompt(input);
    const std::uint8_t what = input.u8();
    if ((what & 1) != 0) fill_lists(input);
    if ((what & 2) != 0) fill_numbers(input);
    whole_.max_tokens = any_int(input, 1, 40);
    whole_.n = (what & 4) != 0 ? any_int(input, 1, 4) : 1;
    whole_.ignore_eos = what >> 7;
    shape(input);
}

void AnyRequest::fill_prompt(FuzzInput& input) {
    const std::uint8_t how = input.u8();
    if (how < 100) {
        tokens_ = any_tokens(input, 70);
        whole_.prompt_tokens = how < 96 ? tokens_.data() : nullptr;
        whole_.prompt_token_count = tokens_.size();
    } else {
        prompt_ = std::string(input.text(how % 64));
        whole_.prompt = how < 250 ? prompt_.c_str() : nullptr;
        whole_.prompt_size = (how & 1) != 0 ? prompt_.size() : 0;
    }
}

void AnyRequest::fill_lists(FuzzInput& input) {
    const std::uint8_t how = input.u8();
    stops_ = any_tokens(input, 70);
    whole_.stop_tokens = (how & 1) != 0 ? nullptr : stops_.data();
    whole_.stop_token_count = stops_.size();
    texts_.resize(input.below(18));
    for (std::string& text : texts_) text = std::string(input.text(input.below(6)));
    for (const std::string& text : texts_) text_pointers_.push_back(text.c_str());
    if ((how & 6) == 6 && !text_pointers_.empty()) text_pointers_.back() = nullptr;
    whole_.stop = (how & 24) == 24 ? nullptr : text_pointers_.data();
    whole_.stop_count = text_pointers_.size();
    bias_tokens_ = any_tokens(input, 20);
    for (std::size_t i = 0; i < bias_tokens_.size(); ++i) {
        bias_values_.push_back(any_float(input) * 50);
    }
    whole_.bias_tokens = (how & 32) != 0 ? nullptr : bias_tokens_.data();
    whole_.bias_values = (how & 64) != 0 ? nullptr : bias_values_.data();
    whole_.bias_count = bias_tokens_.size();
}

void AnyRequest::fill_numbers(FuzzInput& input) {
    whole_.min_tokens = any_int(input, 0, 8);
    whole_.logprobs = any_int(input, -1, 20);
    whole_.hash_logits = input.u8() & 1;
    whole_.repetition_penalty = any_float(input);
    whole_.presence_penalty = any_float(input);
    whole_.frequency_penalty = any_float(input);
    whole_.temperature = any_float(input);
    whole_.top_k = any_int(input, 0, 50);
    whole_.top_p = any_float(input);
    whole_.min_p = any_float(input);
    whole_.has_seed = input.u8() & 1;
    whole_.seed = input.u64();
}

void AnyRequest::shape(FuzzInput& input) {
    whole_.struct_size = claimed_size(input, sizeof(whole_));
    const std::size_t size = whole_.struct_size;
    const std::size_t room = size < sizeof(size_t) ? sizeof(size_t) : size;
    block_ = std::make_unique<std::byte[]>(room);
    std::memcpy(block_.get(), &whole_, room < sizeof(whole_) ? room : sizeof(whole_));
    if (size > sizeof(whole_) && input.coin()) {
        block_[size - 1] = std::byte{1};
        tail_is_zero_ = false;
    }
    given_ = input.u8() == 255 ? nullptr : reinterpret_cast<const molink_request*>(block_.get());
}

std::int32_t AnyRequest::completions() const {
    const bool holds_n = whole_.struct_size >= offsetof(molink_request, n) + sizeof(whole_.n);
    return holds_n ? whole_.n : 1;
}

bool AnyRequest::may_pass() const {
    if (given_ == nullptr || !tail_is_zero_ || whole_.struct_size < sizeof(size_t)) return false;
    if (whole_.struct_size < sizeof(whole_)) return true;  // the other fields have defaults
    const bool lists = (whole_.stop_tokens != nullptr || whole_.stop_token_count == 0) &&
                       (whole_.stop != nullptr || whole_.stop_count == 0) &&
                       (whole_.bias_count == 0 ||
                        (whole_.bias_tokens != nullptr && whole_.bias_values != nullptr));
    const bool counts = whole_.n >= 1 && whole_.n <= 64 && whole_.stop_token_count <= 64 &&
                        whole_.stop_count <= 16 && whole_.logprobs >= -1 && whole_.logprobs <= 20;
    const bool numbers = whole_.temperature >= 0 && whole_.temperature <= 100 && whole_.top_p > 0 &&
                         whole_.top_p <= 1 && whole_.min_p >= 0 && whole_.min_p <= 1 &&
                         whole_.repetition_penalty > 0;
    return lists && counts && numbers && whole_.max_tokens >= 0 && whole_.min_tokens >= 0;
}

void check_metrics(FuzzInput& input, molink_engine* engine) {
    molink_metrics* metrics = nullptr;
    FUZZ_CHECK(code_of(molink_engine_metrics(engine, &metrics)) == MOLINK_OK);
    OutStruct<molink_metrics_info> info(input);
    const std::int32_t got = code_of(molink_metrics_get(metrics, info.get()));
    FUZZ_CHECK(got == MOLINK_OK || !info.is_whole());
    OutStruct<molink_histogram_info> histogram(input);
    const auto which = any_int(input, 0, 3);
    const std::int32_t read = code_of(molink_metrics_histogram(metrics, which, histogram.get()));
    if (histogram.is_whole()) FUZZ_CHECK((read == MOLINK_OK) == (which >= 0 && which <= 3));
    if (read == MOLINK_OK && histogram.is_whole()) {
        std::uint64_t sum = 0;
        for (std::size_t i = 0; i <= histogram.get()->bound_count; ++i) {
            sum += histogram.get()->buckets[i];
        }
        FUZZ_CHECK(sum == histogram.get()->count);
    }
    OutStruct<molink_stage_info> stage(input);
    const std::size_t index = input.coin() ? input.below(3) : input.u64();
    const std::int32_t staged = code_of(molink_metrics_stage(metrics, index, stage.get()));
    FUZZ_CHECK(staged != MOLINK_OK || index == 0);
    OutStruct<molink_link_info> link(input);
    FUZZ_CHECK(code_of(molink_metrics_link(metrics, index, link.get())) != MOLINK_OK);
    molink_metrics_release(metrics);
}

void check_cluster(FuzzInput& input, molink_engine* engine) {
    molink_cluster* cluster = nullptr;
    FUZZ_CHECK(code_of(molink_engine_cluster(engine, &cluster)) == MOLINK_OK);
    OutStruct<molink_cluster_info> info(input);
    const std::int32_t got = code_of(molink_cluster_get(cluster, info.get()));
    FUZZ_CHECK(got == MOLINK_OK || !info.is_whole());
    if (info.is_whole()) FUZZ_CHECK(info.get()->node_count == 1 && info.get()->stage_count == 1);
    const std::size_t index = input.coin() ? input.below(3) : input.u64();
    OutStruct<molink_node_info> node(input);
    const std::int32_t found = code_of(molink_cluster_node(cluster, index, node.get()));
    if (node.is_whole()) FUZZ_CHECK((found == MOLINK_OK) == (index == 0));
    std::uint32_t id = 77;
    const std::int32_t staged = code_of(molink_cluster_stage(cluster, index, &id));
    FUZZ_CHECK((staged == MOLINK_OK) == (index == 0) && (staged == MOLINK_OK) == (id != 77));
    OutStruct<molink_model_info> model(input);
    const std::int32_t told = code_of(molink_engine_model(engine, model.get()));
    if (model.is_whole()) FUZZ_CHECK(told == MOLINK_OK && model.get()->layers == 1);
    molink_cluster_release(cluster);
}

void check_names(FuzzInput& input) {
    const auto value = any_int(input, -2, 12);
    const bool is_status = value >= MOLINK_OK && value <= MOLINK_INTERNAL;
    FUZZ_CHECK((std::string(molink_status_name(value)) == "unknown") == !is_status);
    const bool is_reason = value >= MOLINK_FINISH_NONE && value <= MOLINK_FINISH_ERROR;
    FUZZ_CHECK((std::string(molink_finish_reason_name(value)) == "unknown") == !is_reason);
    FUZZ_CHECK(molink_abi_version() == MOLINK_ABI_VERSION && molink_version() != nullptr);
}

void check_options(FuzzInput& input) {
    OutStruct<molink_engine_options> any(input);
    const std::size_t size = claimed_size(input, sizeof(molink_engine_options));
    if (any.is_whole() && size <= sizeof(molink_engine_options)) {
        (void)code_of(molink_engine_options_init(any.get(), size));
    }
    molink_engine_options options = MOLINK_ENGINE_OPTIONS_INIT;
    const std::uint8_t how = input.u8();
    options.model_dir = (how & 1) != 0 ? nullptr : "/no/such/model";
    options.listen = (how & 2) != 0 ? "nonsense" : nullptr;
    options.weights = any_int(input, -1, 3);
    options.kv_type = any_int(input, -1, 4);
    options.block_tokens = any_int(input, 0, 239);
    options.threads = any_int(input, -1, 3);
    options.max_running = any_int(input, -1, 100);
    options.local_workers = any_int(input, -1, 3);
    options.struct_size = claimed_size(input, sizeof(options));
    if (options.struct_size > sizeof(options)) options.struct_size = sizeof(options);
    molink_engine* engine = nullptr;
    FUZZ_CHECK(code_of(molink_engine_create(&options, &engine)) != MOLINK_OK);
    FUZZ_CHECK(engine == nullptr);
    molink_worker_options worker = MOLINK_WORKER_OPTIONS_INIT;
    worker.model_dir = options.model_dir;
    worker.join = (how & 4) != 0 ? nullptr : "tcp://127.0.0.1:1";
    worker.struct_size = claimed_size(input, sizeof(worker)) % (sizeof(worker) + 1);
    molink_worker* made = nullptr;
    FUZZ_CHECK(code_of(molink_worker_create(&worker, &made)) != MOLINK_OK && made == nullptr);
}

void check_missing(FuzzInput& input, molink_engine* engine) {
    const auto refused = [](molink_error* error) {
        FUZZ_CHECK(code_of(error) == MOLINK_INVALID_ARGUMENT);
    };
    std::uint64_t id = 0;
    std::size_t count = 0;
    switch (input.below(16)) {
        case 0: refused(molink_engine_create(nullptr, nullptr)); break;
        case 1: refused(molink_engine_wait_ready(nullptr, 0)); break;
        case 2: refused(molink_engine_cancel(nullptr, 1)); break;
        case 3: refused(molink_engine_model(nullptr, nullptr)); break;
        case 4: refused(molink_engine_metrics(engine, nullptr)); break;
        case 5: refused(molink_engine_cluster(nullptr, nullptr)); break;
        case 6: refused(molink_queue_create(nullptr)); break;
        case 7: refused(molink_queue_next(nullptr, 0, nullptr)); break;
        case 8:
            refused(molink_engine_submit_to_queue(engine, nullptr, nullptr, nullptr, &id));
            break;
        case 9: refused(molink_metrics_get(nullptr, nullptr)); break;
        case 10: refused(molink_cluster_get(nullptr, nullptr)); break;
        case 11: refused(molink_engine_tokenize(engine, nullptr, 3, 0, nullptr, 0, &count)); break;
        case 12: refused(molink_engine_detokenize(engine, nullptr, 3, nullptr, 0, &count)); break;
        case 13: refused(molink_worker_get(nullptr, nullptr)); break;
        case 14: refused(molink_request_init(nullptr, sizeof(molink_request))); break;
        default:
            molink_metrics_release(nullptr);
            molink_cluster_release(nullptr);
            molink_queue_destroy(nullptr);
            molink_event_release(nullptr);
            molink_error_release(nullptr);
            FUZZ_CHECK(std::string(molink_engine_address(nullptr)).empty());
            break;
    }
}

}  // namespace molink::fuzz
