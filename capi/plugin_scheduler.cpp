// A scheduler that calls a table of C functions, and the accessors for these functions. The opaque
// types of molink_plugin.h are the library's own types. A view is therefore not copied, and its
// cost does not depend on the length of its queues.
#include "plugin_scheduler.h"

#include <span>

#include "structs.h"

namespace molink::capi {

PluginScheduler::PluginScheduler(const molink_scheduler_vtable& table, void* user_data,
                                 CallbackThreads& threads)
    : table_(table), user_data_(user_data), threads_(threads), name_(table.name) {}

PluginScheduler::~PluginScheduler() {
    if (!owned_ || table_.destroy == nullptr) return;
    const CallbackThreads::Scope scope(threads_);
    try {
        table_.destroy(user_data_);
    } catch (...) {
        return;  // a plug-in in C++ broke its contract and threw; there is nobody to tell
    }
}

void PluginScheduler::plan(const SchedulerView& view, StepPlan& plan) {
    const CallbackThreads::Scope scope(threads_);
    table_.plan(user_data_, reinterpret_cast<const molink_view*>(&view),
                reinterpret_cast<molink_plan*>(&plan));
}

void PluginScheduler::observe(const PartReport& report) {
    if (table_.observe == nullptr) return;
    const CallbackThreads::Scope scope(threads_);
    table_.observe(user_data_, reinterpret_cast<const molink_report*>(&report));
}

Result<std::unique_ptr<PluginScheduler>> make_plugin_scheduler(const molink_scheduler_vtable* table,
                                                               void* user_data,
                                                               CallbackThreads& threads) {
    molink_scheduler_vtable known = MOLINK_SCHEDULER_VTABLE_INIT;
    if (auto status = read_struct("molink_scheduler_vtable", table, known); !status.ok()) {
        return status;
    }
    const auto refuse = [](const std::string& reason) {
        return Status(StatusCode::invalid_argument, "molink_scheduler_vtable: " + reason);
    };
    if (known.abi_version == 0 || known.abi_version > MOLINK_PLUGIN_ABI_VERSION) {
        return refuse("abi_version is " + std::to_string(known.abi_version) +
                      "; this library knows 1 to " + std::to_string(MOLINK_PLUGIN_ABI_VERSION));
    }
    if (known.name == nullptr) return refuse("name is NULL");
    if (known.plan == nullptr) return refuse("plan is NULL");
    return std::make_unique<PluginScheduler>(known, user_data, threads);
}

namespace {

const SchedulerView& view_of(const molink_view* view) {
    static const SchedulerView kNothing;
    return view == nullptr ? kNothing : *reinterpret_cast<const SchedulerView*>(view);
}

const SequenceView& sequence_of(const molink_sequence* sequence) {
    static const SequenceView kNothing;
    return sequence == nullptr ? kNothing : *reinterpret_cast<const SequenceView*>(sequence);
}

const PartReport& report_of(const molink_report* report) {
    static const PartReport kNothing;
    return report == nullptr ? kNothing : *reinterpret_cast<const PartReport*>(report);
}

const molink_sequence* at(std::span<const SequenceView* const> queue, std::size_t index) {
    return index < queue.size() ? reinterpret_cast<const molink_sequence*>(queue[index]) : nullptr;
}

StageView stage_of(const molink_view* view, std::size_t stage) {
    const auto stages = view_of(view).stages;
    return stage < stages.size() ? stages[stage] : StageView{};
}

PartReport::Stage stage_of(const molink_report* report, std::size_t stage) {
    const auto stages = report_of(report).stages;
    return stage < stages.size() ? stages[stage] : PartReport::Stage{};
}

/// If there is no memory, the plan stays unchanged. A smaller plan is still valid.
template <typename Add>
void add_to(molink_plan* plan, Add&& add) noexcept {
    if (plan == nullptr) return;
    try {
        add(*reinterpret_cast<StepPlan*>(plan));
    } catch (...) {
        return;
    }
}

}  // namespace
}  // namespace molink::capi

using namespace molink::capi;
using molink::SequenceId;
using molink::StepPlan;

extern "C" {

int64_t molink_view_now_us(const molink_view* view) {
    return view_of(view).now_us;
}

uint64_t molink_view_step_seed(const molink_view* view) {
    return view_of(view).step_seed;
}

size_t molink_view_waiting_count(const molink_view* view) {
    return view_of(view).waiting.size();
}

size_t molink_view_prefilling_count(const molink_view* view) {
    return view_of(view).prefilling.size();
}

size_t molink_view_decodable_count(const molink_view* view) {
    return view_of(view).decodable.size();
}

const molink_sequence* molink_view_waiting(const molink_view* view, size_t index) {
    return at(view_of(view).waiting, index);
}

const molink_sequence* molink_view_prefilling(const molink_view* view, size_t index) {
    return at(view_of(view).prefilling, index);
}

const molink_sequence* molink_view_decodable(const molink_view* view, size_t index) {
    return at(view_of(view).decodable, index);
}

int32_t molink_view_running(const molink_view* view) {
    return view_of(view).running;
}

int32_t molink_view_decoding_in_flight(const molink_view* view) {
    return view_of(view).decoding_in_flight;
}

int32_t molink_view_micro_batches_in_flight(const molink_view* view) {
    return view_of(view).micro_batches_in_flight;
}

int32_t molink_view_decode_parts_in_flight(const molink_view* view) {
    return view_of(view).decode_parts_in_flight;
}

int32_t molink_view_prefill_parts_in_flight(const molink_view* view) {
    return view_of(view).prefill_parts_in_flight;
}

int32_t molink_view_prefill_rows_in_flight(const molink_view* view) {
    return view_of(view).prefill_rows_in_flight;
}

int64_t molink_view_free_blocks(const molink_view* view) {
    return view_of(view).free_blocks;
}

int32_t molink_view_max_running(const molink_view* view) {
    return view_of(view).max_running;
}

int32_t molink_view_max_step_tokens(const molink_view* view) {
    return view_of(view).max_step_tokens;
}

int32_t molink_view_max_slice_tokens(const molink_view* view) {
    return view_of(view).max_slice_tokens;
}

size_t molink_view_stage_count(const molink_view* view) {
    return view_of(view).stages.size();
}

double molink_view_stage_decode_base_us(const molink_view* view, size_t stage) {
    return stage_of(view, stage).decode.base_us;
}

double molink_view_stage_decode_row_us(const molink_view* view, size_t stage) {
    return stage_of(view, stage).decode.row_us;
}

double molink_view_stage_prefill_base_us(const molink_view* view, size_t stage) {
    return stage_of(view, stage).prefill.base_us;
}

double molink_view_stage_prefill_row_us(const molink_view* view, size_t stage) {
    return stage_of(view, stage).prefill.row_us;
}

double molink_view_stage_decode_least_us(const molink_view* view, size_t stage) {
    return stage_of(view, stage).decode.least_us;
}

double molink_view_stage_prefill_least_us(const molink_view* view, size_t stage) {
    return stage_of(view, stage).prefill.least_us;
}

int32_t molink_view_stage_compute_domain(const molink_view* view, size_t stage) {
    return stage_of(view, stage).compute_domain;
}

double molink_view_stage_compute_share(const molink_view* view, size_t stage) {
    return stage_of(view, stage).compute_share;
}

int64_t molink_view_stage_row_bytes(const molink_view* view, size_t stage) {
    return stage_of(view, stage).row_bytes;
}

int64_t molink_view_stage_return_row_bytes(const molink_view* view, size_t stage) {
    const molink::StageView& of = stage_of(view, stage);
    return of.cargo == molink::LinkCargo::sampled_rows ? of.row_bytes : 0;
}

int32_t molink_view_stage_layer_count(const molink_view* view, size_t stage) {
    return stage_of(view, stage).layers.size();
}

double molink_view_stage_link_bytes_per_s(const molink_view* view, size_t stage) {
    return stage_of(view, stage).link_to_next.bytes_per_s;
}

int64_t molink_view_stage_link_delay_us(const molink_view* view, size_t stage) {
    return stage_of(view, stage).link_to_next.delay_us;
}

int32_t molink_view_max_drafts(const molink_view* view) {
    return view_of(view).max_drafts;
}

int32_t molink_view_block_tokens(const molink_view* view) {
    return view_of(view).block_tokens;
}

int32_t molink_view_vocabulary(const molink_view* view) {
    return view_of(view).vocabulary;
}

uint64_t molink_sequence_request(const molink_sequence* sequence) {
    return sequence_of(sequence).request.value;
}

int32_t molink_sequence_completion(const molink_sequence* sequence) {
    return sequence_of(sequence).completion;
}

const int32_t* molink_sequence_tokens(const molink_sequence* sequence, size_t* out_count) {
    const std::span<const molink::Token> tokens = sequence_of(sequence).tokens;
    if (out_count != nullptr) *out_count = tokens.size();
    return tokens.empty() ? nullptr : tokens.data();
}

uint64_t molink_sequence_id(const molink_sequence* sequence) {
    return sequence_of(sequence).id.value;
}

int64_t molink_sequence_arrival_us(const molink_sequence* sequence) {
    return sequence_of(sequence).arrival_us;
}

int32_t molink_sequence_prompt_tokens(const molink_sequence* sequence) {
    return sequence_of(sequence).prompt_tokens;
}

int32_t molink_sequence_max_tokens(const molink_sequence* sequence) {
    return sequence_of(sequence).max_tokens;
}

int32_t molink_sequence_scheduled(const molink_sequence* sequence) {
    return sequence_of(sequence).scheduled;
}

int32_t molink_sequence_parts_in_flight(const molink_sequence* sequence) {
    return sequence_of(sequence).parts_in_flight;
}

int32_t molink_sequence_blocks_needed(const molink_sequence* sequence) {
    return sequence_of(sequence).blocks_needed;
}

int32_t molink_sequence_blocks_held(const molink_sequence* sequence) {
    return sequence_of(sequence).blocks_held;
}

void molink_plan_decode(molink_plan* plan, uint64_t sequence) {
    add_to(plan, [&](StepPlan& step) { step.decode.push_back({SequenceId(sequence), {}}); });
}

void molink_plan_decode_drafts(molink_plan* plan, uint64_t sequence, const int32_t* drafts,
                               size_t count) {
    add_to(plan, [&](StepPlan& step) {
        molink::DecodeRun run{SequenceId(sequence), {}};
        if (drafts != nullptr) run.drafts.assign(drafts, drafts + count);
        step.decode.push_back(std::move(run));
    });
}

void molink_plan_prefill(molink_plan* plan, uint64_t sequence, int32_t count) {
    add_to(plan, [&](StepPlan& step) { step.prefill.push_back({SequenceId(sequence), count}); });
}

void molink_plan_preempt(molink_plan* plan, uint64_t sequence) {
    add_to(plan, [&](StepPlan& step) { step.preempt.push_back(SequenceId(sequence)); });
}

int32_t molink_report_kind(const molink_report* report) {
    return static_cast<int32_t>(report_of(report).kind);
}

int32_t molink_report_rows(const molink_report* report) {
    return report_of(report).rows;
}

int64_t molink_report_launched_us(const molink_report* report) {
    return report_of(report).launched_us;
}

int64_t molink_report_retired_us(const molink_report* report) {
    return report_of(report).retired_us;
}

size_t molink_report_stage_count(const molink_report* report) {
    return report_of(report).stages.size();
}

int64_t molink_report_compute_us(const molink_report* report, size_t stage) {
    return stage_of(report, stage).compute_us;
}

int64_t molink_report_wait_us(const molink_report* report, size_t stage) {
    return stage_of(report, stage).wait_us;
}

}  // extern "C"
