// Converts C options and requests to C++ ones. The engine checks the limits of numbers for both
// interfaces. This file checks only what a C++ type would exclude: unknown enumerators, lists
// without a pointer, and structs of another version.
#include "options.h"

#include "guard.h"
#include "structs.h"

namespace molink::capi {
namespace {

Status check_enum(const char* name, std::int32_t value, std::int32_t last) {
    if (value >= 0 && value <= last) return {};
    return Status(StatusCode::invalid_argument, std::string(name) + " is " + std::to_string(value) +
                                                    "; it must be 0 to " + std::to_string(last));
}

std::string text_or(const char* text, const char* otherwise) {
    return text == nullptr ? otherwise : text;
}

template <typename T>
Status check_node(const T& options) {
    if (options.model_dir == nullptr) {
        return Status(StatusCode::invalid_argument, "model_dir is NULL; it is required");
    }
    if (auto status = check_enum("weights", options.weights, MOLINK_WEIGHTS_Q8_0); !status.ok()) {
        return status;
    }
    if (auto status = check_enum("kv_type", options.kv_type, MOLINK_F16); !status.ok()) {
        return status;
    }
    const Status transmit = make_transmit_policy(text_or(options.transmit, "fair")).status();
    if (!transmit.ok()) return transmit.with_context("transmit");
    return check_enum("log_level", options.log_level, MOLINK_LOG_DEBUG);
}

template <typename T>
void fill_node(const T& in, NodeOptions& out) {
    out.model_dir = in.model_dir;
    out.name = text_or(in.name, "");
    if (in.listen != nullptr) out.listen = in.listen;
    out.advertise = text_or(in.advertise, "");
    if (in.backend != nullptr) out.backend = in.backend;
    out.memory_bytes = in.memory_bytes;
    out.node_lost_after_us = in.node_lost_after_us;
    out.reconnect_within_us = in.reconnect_within_us;
    out.insecure = in.insecure != 0;
    out.weights = static_cast<WeightFormat>(in.weights);
    out.kv_type = static_cast<DataType>(in.kv_type);
    out.block_tokens = in.block_tokens;
    out.threads = in.threads;
    if (in.layers_begin != 0 || in.layers_end != 0) {
        out.layers = LayerRange{in.layers_begin, in.layers_end};
    }
    out.log_level = static_cast<LogLevel>(in.log_level);
    out.transmit = [name = text_or(in.transmit, "fair")] {
        return std::move(*make_transmit_policy(name));  // check_node has checked the name
    };
}

Result<std::unique_ptr<Scheduler>> named_scheduler(const molink_engine_options& options) {
    SchedulerOptions goals;
    goals.step_tokens = options.step_tokens;
    goals.latency_goal_us = options.latency_goal_us;
    goals.throughput_goal = options.throughput_goal;
    return make_scheduler(text_or(options.scheduler_name, "adaptive"), goals);
}

Result<std::unique_ptr<Partitioner>> named_partitioner(const molink_engine_options& options) {
    return make_partitioner(text_or(options.partitioner, "cost"));
}

Status check_policies(const molink_engine_options& options) {
    if (options.scheduler != nullptr && options.scheduler_name != nullptr) {
        return Status(StatusCode::invalid_argument,
                      "scheduler and scheduler_name are both set; give one of them");
    }
    Status status = named_scheduler(options).status();
    if (status.ok()) status = named_partitioner(options).status();
    if (status.ok()) status = check_enum("objective", options.objective, MOLINK_LATENCY);
    if (status.ok()) status = check_enum("lm_head", options.lm_head, MOLINK_LM_HEAD_FIRST);
    return status;
}

Status check_local_cluster(const molink_engine_options& options) {
    constexpr std::int32_t kMaxLocalWorkers = 64;
    if (options.local_workers == 0) return {};
    const auto refuse = [](const std::string& reason) {
        return Status(StatusCode::invalid_argument, reason);
    };
    if (options.local_workers < 0 || options.local_workers > kMaxLocalWorkers) {
        return refuse("local_workers is " + std::to_string(options.local_workers) +
                      "; it must be 0 to " + std::to_string(kMaxLocalWorkers));
    }
    if (options.listen != nullptr || options.advertise != nullptr) {
        return refuse("listen and advertise have no meaning with local_workers; leave them NULL");
    }
    if (options.key_file != nullptr || options.allow_file != nullptr) {
        return refuse(
            "key_file and allow_file have no meaning with local_workers; leave them NULL");
    }
    const std::int32_t stages = options.local_workers + (options.local_stage != 0 ? 1 : 0);
    if (options.stages != 0 && options.stages != stages) {
        return refuse("stages is " + std::to_string(options.stages) +
                      " but the local cluster has " + std::to_string(stages) +
                      " nodes; leave it 0");
    }
    return {};
}

/// Copies [count] values from a C pointer. Errors: invalid_argument (NULL with a count).
template <typename T, typename U>
Status read_list(const char* name, const T* values, std::size_t count, std::vector<U>& out) {
    if (count > 0 && values == nullptr) {
        return Status(StatusCode::invalid_argument,
                      std::string(name) + " is NULL, but its count is " + std::to_string(count));
    }
    out.assign(values, values + count);
    return {};
}

Status read_texts(const molink_request& in, GenerateRequest& out) {
    if (in.prompt != nullptr) {
        out.prompt =
            in.prompt_size == 0 ? std::string(in.prompt) : std::string(in.prompt, in.prompt_size);
    } else if (in.prompt_size != 0) {
        return Status(StatusCode::invalid_argument,
                      "prompt is NULL, but prompt_size is " + std::to_string(in.prompt_size));
    }
    std::vector<const char*> stop;
    if (auto status = read_list("stop", in.stop, in.stop_count, stop); !status.ok()) return status;
    for (const char* text : stop) {
        if (text == nullptr) {
            return Status(StatusCode::invalid_argument, "an entry of stop is NULL");
        }
        out.stop.emplace_back(text);
    }
    return {};
}

Status read_bias(const molink_request& in, std::vector<LogitBias>& out) {
    if (in.bias_count > 0 && (in.bias_tokens == nullptr || in.bias_values == nullptr)) {
        return Status(StatusCode::invalid_argument,
                      "bias_tokens or bias_values is NULL, but bias_count is " +
                          std::to_string(in.bias_count));
    }
    for (std::size_t i = 0; i < in.bias_count; ++i) {
        out.push_back({in.bias_tokens[i], in.bias_values[i]});
    }
    return {};
}

}  // namespace

Status read_options(const molink_engine_options* in, molink_engine_options& out) {
    out = MOLINK_ENGINE_OPTIONS_INIT;
    if (auto status = read_struct("molink_engine_options", in, out); !status.ok()) return status;
    if (auto status = check_node(out); !status.ok()) return status;
    if (auto status = check_enum("wire_type", out.wire_type, MOLINK_INT8); !status.ok()) {
        return status;
    }
    if (auto status = check_policies(out); !status.ok()) return status;
    return check_local_cluster(out);
}

Status read_options(const molink_worker_options* in, molink_worker_options& out) {
    out = MOLINK_WORKER_OPTIONS_INIT;
    if (auto status = read_struct("molink_worker_options", in, out); !status.ok()) return status;
    if (out.join == nullptr && out.token == nullptr) {
        return Status(StatusCode::invalid_argument, "join is NULL; it is required without a token");
    }
    return check_node(out);
}

EngineOptions engine_options(const molink_engine_options& options) {
    EngineOptions out;
    fill_node(options, out);
    out.security.key_file = text_or(options.key_file, "");
    out.security.allow_file = text_or(options.allow_file, "");
    const std::int32_t local = options.local_workers + (options.local_stage != 0 ? 1 : 0);
    out.stages = options.stages;
    if (out.stages == 0) out.stages = options.local_workers > 0 ? local : 1;
    out.local_stage = options.local_stage != 0;
    out.wire_type = options.wire_type == MOLINK_INT8 ? DataType::int8
                                                     : static_cast<DataType>(options.wire_type);
    out.max_running = options.max_running;
    out.max_waiting = options.max_waiting;
    out.max_step_tokens = options.max_step_tokens;
    out.max_slice_tokens = options.max_slice_tokens;
    out.max_context = options.max_context;
    out.prefix_cache = options.prefix_cache != 0;
    out.max_in_flight_bytes = options.max_in_flight_bytes;
    out.objective = static_cast<PartitionObjective>(options.objective);
    out.lm_head = static_cast<LmHead>(options.lm_head);
    out.probe_links = options.link_probes != 0;
    out.expected_prompt_tokens = options.expected_prompt_tokens;
    out.expected_output_tokens = options.expected_output_tokens;
    out.scheduler = std::move(*named_scheduler(options));  // check_policies has checked the names
    out.partitioner = std::move(*named_partitioner(options));
    return out;
}

WorkerOptions worker_options(const molink_worker_options& options) {
    WorkerOptions out;
    fill_node(options, out);
    out.join = text_or(options.join, "");
    out.security.key_file = text_or(options.key_file, "");
    out.security.head_key = text_or(options.head_key, "");
    out.security.token = text_or(options.token, "");
    out.join_within_us = options.join_within_us;
    out.give_up_after_us = options.give_up_after_us;
    return out;
}

WorkerOptions local_worker_options(const molink_engine_options& options) {
    WorkerOptions out;
    fill_node(options, out);
    out.layers.reset();
    return out;
}

Status read_request(const molink_request* in, GenerateRequest& out) {
    molink_request request = MOLINK_REQUEST_INIT;
    if (auto status = read_struct("molink_request", in, request); !status.ok()) return status;
    if (auto status = read_texts(request, out); !status.ok()) return status;
    if (auto status = read_list("prompt_tokens", request.prompt_tokens, request.prompt_token_count,
                                out.prompt_tokens);
        !status.ok()) {
        return status;
    }
    if (auto status = read_list("stop_tokens", request.stop_tokens, request.stop_token_count,
                                out.stop_tokens);
        !status.ok()) {
        return status;
    }
    out.max_tokens = request.max_tokens;
    out.min_tokens = request.min_tokens;
    out.n = request.n;
    out.ignore_eos = request.ignore_eos != 0;
    out.logprobs = request.logprobs;
    out.hash_logits = request.hash_logits != 0;
    SamplingParams& sampling = out.sampling;
    sampling.repetition_penalty = request.repetition_penalty;
    sampling.presence_penalty = request.presence_penalty;
    sampling.frequency_penalty = request.frequency_penalty;
    sampling.temperature = request.temperature;
    sampling.top_k = request.top_k;
    sampling.top_p = request.top_p;
    sampling.min_p = request.min_p;
    if (request.has_seed != 0) sampling.seed = request.seed;
    return read_bias(request, sampling.logit_bias);
}

}  // namespace molink::capi

extern "C" {

molink_error* molink_engine_options_init(molink_engine_options* options, size_t struct_size) {
    const molink_engine_options defaults = MOLINK_ENGINE_OPTIONS_INIT;
    return molink::capi::guarded([&] {
        return molink::capi::init_struct("molink_engine_options", defaults, options, struct_size);
    });
}

molink_error* molink_worker_options_init(molink_worker_options* options, size_t struct_size) {
    const molink_worker_options defaults = MOLINK_WORKER_OPTIONS_INIT;
    return molink::capi::guarded([&] {
        return molink::capi::init_struct("molink_worker_options", defaults, options, struct_size);
    });
}

molink_error* molink_request_init(molink_request* request, size_t struct_size) {
    const molink_request defaults = MOLINK_REQUEST_INIT;
    return molink::capi::guarded([&] {
        return molink::capi::init_struct("molink_request", defaults, request, struct_size);
    });
}

}  // extern "C"
