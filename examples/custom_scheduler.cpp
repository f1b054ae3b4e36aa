// A user-defined scheduler. It decodes all sequences that can decode, and prefills the shortest
// prompt first. The same class runs in the simulator, over a slow link in virtual time, and in the
// real engine. Argument: a model folder.
#include <algorithm>
#include <cstdio>
#include <future>

#include <molink/engine.h>
#include <molink/sim.h>

class ShortestFirst final : public molink::Scheduler {
public:
    std::string_view name() const override { return "shortest-first"; }

    void plan(const molink::SchedulerView& view, molink::StepPlan& plan) override {
        std::int32_t rows = view.max_step_tokens;
        std::int64_t blocks = view.free_blocks;
        for (const auto* sequence : view.decodable) {
            if (rows == 0 || sequence->blocks_needed > blocks) break;
            plan.decode.push_back({sequence->id, {}});
            blocks -= sequence->blocks_needed;
            --rows;
        }
        if (view.prefill_parts_in_flight > 0 || rows == 0) return;
        for (const auto* sequence : view.prefilling) {  // first finish prompts that were started
            return prefill(*sequence, std::min(rows, view.max_slice_tokens), plan);
        }
        if (view.waiting.empty() || view.running >= view.max_running) return;
        const auto* next = *std::min_element(
            view.waiting.begin(), view.waiting.end(),
            [](const auto* a, const auto* b) { return a->prompt_tokens < b->prompt_tokens; });
        if (next->blocks_needed > blocks) return;  // wait until a sequence has finished
        prefill(*next, std::min(rows, view.max_slice_tokens), plan);
    }

private:
    static void prefill(const molink::SequenceView& sequence, std::int32_t most,
                        molink::StepPlan& plan) {
        plan.prefill.push_back({sequence.id, std::min(sequence.prompt_left(), most)});
    }
};

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: custom_scheduler MODEL_FOLDER\n");
        return 2;
    }
    molink::SimPolicies policies;
    policies.scheduler = [] { return std::make_unique<ShortestFirst>(); };
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        const auto report = molink::simulate(molink::swarm_scenario(seed), policies);
        if (report && report->failure.empty()) continue;
        std::fprintf(stderr, "seed %llu: %s\n", static_cast<unsigned long long>(seed),
                     report ? report->failure.c_str() : report.error().message().c_str());
        return 1;
    }
    std::printf("50 simulated clusters: every token right\n");

    molink::EngineOptions options;
    options.model_dir = argv[1];
    options.scheduler = std::make_unique<ShortestFirst>();
    auto engine = molink::Engine::open(std::move(options));
    molink::Status status = engine ? (*engine)->wait_ready(60'000'000) : engine.error();
    std::promise<void> done;
    molink::GenerateRequest request;
    request.prompt = "And God said";
    request.max_tokens = 40;
    const auto print = [&](const molink::RequestEvent& event) {
        std::fputs(event.text.c_str(), stdout);
        if (event.last) done.set_value();
    };
    if (status.ok()) status = (*engine)->submit(request, print).status();
    if (!status.ok()) {
        std::fprintf(stderr, "%s\n", status.message().c_str());
        return 1;
    }
    done.get_future().wait();
    std::printf("\n");
    return 0;
}
