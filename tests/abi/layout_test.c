/* Tests the frozen layout of every released struct. Sizes may only grow, and offsets never change.
 * A new field adds a line here and changes the SIZE of its struct; nothing else may change. */
#include <stdio.h>

#include <molink_plugin.h>

static int failures = 0;

static void check(const char* what, size_t found, size_t frozen) {
    if (found == frozen) return;
    fprintf(stderr, "%s is %zu, but %zu is frozen\n", what, found, frozen);
    ++failures;
}

#define SIZE(type, frozen) check("sizeof " #type, sizeof(type), frozen)
#define OFFSET(type, field, frozen) check(#type "." #field, offsetof(type, field), frozen)

static void check_progress(void) {
    SIZE(molink_progress, 32);
    OFFSET(molink_progress, struct_size, 0);
    OFFSET(molink_progress, state, 8);
    OFFSET(molink_progress, node_count, 12);
    OFFSET(molink_progress, loaded_bytes, 16);
    OFFSET(molink_progress, weight_bytes, 24);
}

static void check_engine_options(void) {
    SIZE(molink_engine_options, 296);
    OFFSET(molink_engine_options, struct_size, 0);
    OFFSET(molink_engine_options, model_dir, 8);
    OFFSET(molink_engine_options, name, 16);
    OFFSET(molink_engine_options, listen, 24);
    OFFSET(molink_engine_options, advertise, 32);
    OFFSET(molink_engine_options, backend, 40);
    OFFSET(molink_engine_options, memory_bytes, 48);
    OFFSET(molink_engine_options, node_lost_after_us, 56);
    OFFSET(molink_engine_options, reconnect_within_us, 64);
    OFFSET(molink_engine_options, max_in_flight_bytes, 72);
    OFFSET(molink_engine_options, insecure, 80);
    OFFSET(molink_engine_options, weights, 84);
    OFFSET(molink_engine_options, kv_type, 88);
    OFFSET(molink_engine_options, block_tokens, 92);
    OFFSET(molink_engine_options, threads, 96);
    OFFSET(molink_engine_options, layers_begin, 100);
    OFFSET(molink_engine_options, layers_end, 104);
    OFFSET(molink_engine_options, log_level, 108);
    OFFSET(molink_engine_options, stages, 112);
    OFFSET(molink_engine_options, local_stage, 116);
    OFFSET(molink_engine_options, wire_type, 120);
    OFFSET(molink_engine_options, max_running, 124);
    OFFSET(molink_engine_options, max_waiting, 128);
    OFFSET(molink_engine_options, max_step_tokens, 132);
    OFFSET(molink_engine_options, max_slice_tokens, 136);
    OFFSET(molink_engine_options, max_context, 140);
    OFFSET(molink_engine_options, prefix_cache, 144);
    OFFSET(molink_engine_options, local_workers, 148);
    OFFSET(molink_engine_options, log, 152);
    OFFSET(molink_engine_options, log_user_data, 160);
    OFFSET(molink_engine_options, log_finalizer, 168);
    OFFSET(molink_engine_options, progress, 176);
    OFFSET(molink_engine_options, progress_user_data, 184);
    OFFSET(molink_engine_options, progress_finalizer, 192);
    OFFSET(molink_engine_options, scheduler, 200);
    OFFSET(molink_engine_options, scheduler_user_data, 208);
    OFFSET(molink_engine_options, scheduler_name, 216);
    OFFSET(molink_engine_options, transmit, 224);
    OFFSET(molink_engine_options, partitioner, 232);
    OFFSET(molink_engine_options, latency_goal_us, 240);
    OFFSET(molink_engine_options, throughput_goal, 248);
    OFFSET(molink_engine_options, step_tokens, 256);
    OFFSET(molink_engine_options, objective, 260);
    OFFSET(molink_engine_options, lm_head, 264);
    OFFSET(molink_engine_options, link_probes, 268);
    OFFSET(molink_engine_options, expected_prompt_tokens, 272);
    OFFSET(molink_engine_options, expected_output_tokens, 276);
    OFFSET(molink_engine_options, key_file, 280);
    OFFSET(molink_engine_options, allow_file, 288);
}

static void check_model_info(void) {
    SIZE(molink_model_info, 40);
    OFFSET(molink_model_info, struct_size, 0);
    OFFSET(molink_model_info, architecture, 8);
    OFFSET(molink_model_info, hidden, 16);
    OFFSET(molink_model_info, layers, 20);
    OFFSET(molink_model_info, vocabulary, 24);
    OFFSET(molink_model_info, context, 28);
    OFFSET(molink_model_info, bos_token, 32);
    OFFSET(molink_model_info, eos_token, 36);
}

static void check_request(void) {
    SIZE(molink_request, 160);
    OFFSET(molink_request, struct_size, 0);
    OFFSET(molink_request, prompt, 8);
    OFFSET(molink_request, prompt_size, 16);
    OFFSET(molink_request, prompt_tokens, 24);
    OFFSET(molink_request, prompt_token_count, 32);
    OFFSET(molink_request, max_tokens, 40);
    OFFSET(molink_request, min_tokens, 44);
    OFFSET(molink_request, n, 48);
    OFFSET(molink_request, ignore_eos, 52);
    OFFSET(molink_request, stop_tokens, 56);
    OFFSET(molink_request, stop_token_count, 64);
    OFFSET(molink_request, stop, 72);
    OFFSET(molink_request, stop_count, 80);
    OFFSET(molink_request, bias_tokens, 88);
    OFFSET(molink_request, bias_values, 96);
    OFFSET(molink_request, bias_count, 104);
    OFFSET(molink_request, logprobs, 112);
    OFFSET(molink_request, hash_logits, 116);
    OFFSET(molink_request, repetition_penalty, 120);
    OFFSET(molink_request, presence_penalty, 124);
    OFFSET(molink_request, frequency_penalty, 128);
    OFFSET(molink_request, temperature, 132);
    OFFSET(molink_request, top_k, 136);
    OFFSET(molink_request, top_p, 140);
    OFFSET(molink_request, min_p, 144);
    OFFSET(molink_request, has_seed, 148);
    OFFSET(molink_request, seed, 152);
}

static void check_event(void) {
    SIZE(molink_event, 160);
    OFFSET(molink_event, struct_size, 0);
    OFFSET(molink_event, request, 8);
    OFFSET(molink_event, user_data, 16);
    OFFSET(molink_event, index, 24);
    OFFSET(molink_event, finish_reason, 28);
    OFFSET(molink_event, last, 32);
    OFFSET(molink_event, status, 36);
    OFFSET(molink_event, message, 40);
    OFFSET(molink_event, text, 48);
    OFFSET(molink_event, text_size, 56);
    OFFSET(molink_event, tokens, 64);
    OFFSET(molink_event, token_count, 72);
    OFFSET(molink_event, logprobs, 80);
    OFFSET(molink_event, top_offsets, 88);
    OFFSET(molink_event, top_tokens, 96);
    OFFSET(molink_event, top_logprobs, 104);
    OFFSET(molink_event, prompt_token_count, 112);
    OFFSET(molink_event, cached_token_count, 116);
    OFFSET(molink_event, output_token_count, 120);
    OFFSET(molink_event, reserved, 124);
    OFFSET(molink_event, time_to_first_token_us, 128);
    OFFSET(molink_event, total_us, 136);
    OFFSET(molink_event, logit_hashes, 144);
    OFFSET(molink_event, logit_hash_count, 152);
}

static void check_cluster_info(void) {
    SIZE(molink_cluster_info, 48);
    OFFSET(molink_cluster_info, struct_size, 0);
    OFFSET(molink_cluster_info, state, 8);
    OFFSET(molink_cluster_info, epoch, 12);
    OFFSET(molink_cluster_info, missing, 16);
    OFFSET(molink_cluster_info, last_error, 24);
    OFFSET(molink_cluster_info, node_count, 32);
    OFFSET(molink_cluster_info, stage_count, 40);
}

static void check_node_info(void) {
    SIZE(molink_node_info, 104);
    OFFSET(molink_node_info, struct_size, 0);
    OFFSET(molink_node_info, name, 8);
    OFFSET(molink_node_info, address, 16);
    OFFSET(molink_node_info, host_id, 24);
    OFFSET(molink_node_info, id, 32);
    OFFSET(molink_node_info, state, 36);
    OFFSET(molink_node_info, layers_begin, 40);
    OFFSET(molink_node_info, layers_end, 44);
    OFFSET(molink_node_info, memory_bytes, 48);
    OFFSET(molink_node_info, weight_bytes, 56);
    OFFSET(molink_node_info, loaded_bytes, 64);
    OFFSET(molink_node_info, kv_blocks, 72);
    OFFSET(molink_node_info, decode_layer_us, 80);
    OFFSET(molink_node_info, left_out, 88);
    OFFSET(molink_node_info, device, 96);
}

static void check_metrics_info(void) {
    SIZE(molink_metrics_info, 160);
    OFFSET(molink_metrics_info, struct_size, 0);
    OFFSET(molink_metrics_info, requests_submitted, 8);
    OFFSET(molink_metrics_info, requests_finished, 16);
    OFFSET(molink_metrics_info, requests_failed, 24);
    OFFSET(molink_metrics_info, requests_cancelled, 32);
    OFFSET(molink_metrics_info, requests_refused, 40);
    OFFSET(molink_metrics_info, prompt_tokens, 48);
    OFFSET(molink_metrics_info, output_tokens, 56);
    OFFSET(molink_metrics_info, preemptions, 64);
    OFFSET(molink_metrics_info, prefix_hits, 72);
    OFFSET(molink_metrics_info, prefix_query_tokens, 80);
    OFFSET(molink_metrics_info, prefix_hit_tokens, 88);
    OFFSET(molink_metrics_info, plans_refused, 96);
    OFFSET(molink_metrics_info, kv_blocks_total, 104);
    OFFSET(molink_metrics_info, kv_blocks_free, 112);
    OFFSET(molink_metrics_info, kv_blocks_cached, 120);
    OFFSET(molink_metrics_info, running, 128);
    OFFSET(molink_metrics_info, waiting, 132);
    OFFSET(molink_metrics_info, epoch, 136);
    OFFSET(molink_metrics_info, max_micro_batches_in_flight, 140);
    OFFSET(molink_metrics_info, stage_count, 144);
    OFFSET(molink_metrics_info, link_count, 152);
}

static void check_histogram_info(void) {
    SIZE(molink_histogram_info, 48);
    OFFSET(molink_histogram_info, struct_size, 0);
    OFFSET(molink_histogram_info, bounds, 8);
    OFFSET(molink_histogram_info, buckets, 16);
    OFFSET(molink_histogram_info, bound_count, 24);
    OFFSET(molink_histogram_info, count, 32);
    OFFSET(molink_histogram_info, sum, 40);
}

static void check_stage_info(void) {
    SIZE(molink_stage_info, 56);
    OFFSET(molink_stage_info, struct_size, 0);
    OFFSET(molink_stage_info, node, 8);
    OFFSET(molink_stage_info, layers_begin, 16);
    OFFSET(molink_stage_info, layers_end, 20);
    OFFSET(molink_stage_info, parts, 24);
    OFFSET(molink_stage_info, rows, 32);
    OFFSET(molink_stage_info, compute_us, 40);
    OFFSET(molink_stage_info, wait_us, 48);
}

static void check_link_info(void) {
    SIZE(molink_link_info, 120);
    OFFSET(molink_link_info, struct_size, 0);
    OFFSET(molink_link_info, peer, 8);
    OFFSET(molink_link_info, sent_bytes, 16);
    OFFSET(molink_link_info, received_bytes, 24);
    OFFSET(molink_link_info, resent_bytes, 32);
    OFFSET(molink_link_info, lane_count, 40);
    OFFSET(molink_link_info, lane_sent_bytes, 48);
    OFFSET(molink_link_info, lane_received_bytes, 56);
    OFFSET(molink_link_info, lane_sent_messages, 64);
    OFFSET(molink_link_info, lane_queue_us, 72);
    OFFSET(molink_link_info, round_trip_us, 80);
    OFFSET(molink_link_info, bytes_per_s, 88);
    OFFSET(molink_link_info, delay_us, 96);
    OFFSET(molink_link_info, jitter_us, 104);
    OFFSET(molink_link_info, node, 112);
}

static void check_worker_options(void) {
    SIZE(molink_worker_options, 184);
    OFFSET(molink_worker_options, struct_size, 0);
    OFFSET(molink_worker_options, model_dir, 8);
    OFFSET(molink_worker_options, join, 16);
    OFFSET(molink_worker_options, name, 24);
    OFFSET(molink_worker_options, listen, 32);
    OFFSET(molink_worker_options, advertise, 40);
    OFFSET(molink_worker_options, backend, 48);
    OFFSET(molink_worker_options, memory_bytes, 56);
    OFFSET(molink_worker_options, node_lost_after_us, 64);
    OFFSET(molink_worker_options, reconnect_within_us, 72);
    OFFSET(molink_worker_options, join_within_us, 80);
    OFFSET(molink_worker_options, insecure, 88);
    OFFSET(molink_worker_options, weights, 92);
    OFFSET(molink_worker_options, kv_type, 96);
    OFFSET(molink_worker_options, block_tokens, 100);
    OFFSET(molink_worker_options, threads, 104);
    OFFSET(molink_worker_options, layers_begin, 108);
    OFFSET(molink_worker_options, layers_end, 112);
    OFFSET(molink_worker_options, log_level, 116);
    OFFSET(molink_worker_options, log, 120);
    OFFSET(molink_worker_options, log_user_data, 128);
    OFFSET(molink_worker_options, log_finalizer, 136);
    OFFSET(molink_worker_options, transmit, 144);
    OFFSET(molink_worker_options, key_file, 152);
    OFFSET(molink_worker_options, head_key, 160);
    OFFSET(molink_worker_options, token, 168);
    OFFSET(molink_worker_options, give_up_after_us, 176);
}

static void check_worker_info(void) {
    SIZE(molink_worker_info, 64);
    OFFSET(molink_worker_info, struct_size, 0);
    OFFSET(molink_worker_info, address, 8);
    OFFSET(molink_worker_info, state, 16);
    OFFSET(molink_worker_info, welcomed, 20);
    OFFSET(molink_worker_info, layers_begin, 24);
    OFFSET(molink_worker_info, layers_end, 28);
    OFFSET(molink_worker_info, weight_bytes, 32);
    OFFSET(molink_worker_info, loaded_bytes, 40);
    OFFSET(molink_worker_info, kv_blocks, 48);
    OFFSET(molink_worker_info, epoch, 56);
    OFFSET(molink_worker_info, reserved, 60);
}

static void check_scheduler_vtable(void) {
    SIZE(molink_scheduler_vtable, 48);
    OFFSET(molink_scheduler_vtable, struct_size, 0);
    OFFSET(molink_scheduler_vtable, abi_version, 8);
    OFFSET(molink_scheduler_vtable, reserved, 12);
    OFFSET(molink_scheduler_vtable, name, 16);
    OFFSET(molink_scheduler_vtable, plan, 24);
    OFFSET(molink_scheduler_vtable, observe, 32);
    OFFSET(molink_scheduler_vtable, destroy, 40);
}

int main(void) {
    if (sizeof(void*) != 8) return 0; /* the layout is frozen for 64-bit machines only */
    check_progress();
    check_engine_options();
    check_model_info();
    check_request();
    check_event();
    check_cluster_info();
    check_node_info();
    check_metrics_info();
    check_histogram_info();
    check_stage_info();
    check_link_info();
    check_worker_options();
    check_worker_info();
    check_scheduler_vtable();
    return failures == 0 ? 0 : 1;
}
