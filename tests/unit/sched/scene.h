#pragma once

#include <algorithm>
#include <vector>

#include <molink/scheduler.h>

/// A hand-made view: 40 sequences of 100 prompt tokens, and three stages.
struct Scene {
    std::vector<molink::SequenceView> sequences = std::vector<molink::SequenceView>(40);
    std::vector<const molink::SequenceView*> waiting, prefilling, decodable;
    std::vector<molink::StageView> stages = std::vector<molink::StageView>(3);
    molink::SchedulerView view;

    Scene() {
        for (std::size_t i = 0; i < sequences.size(); ++i) {
            sequences[i].id = molink::SequenceId(i + 1);
            sequences[i].prompt_tokens = 100;
            sequences[i].blocks_needed = 10;
        }
        view.max_running = 8;
        view.max_step_tokens = 64;
        view.max_slice_tokens = 32;
        view.free_blocks = 100;
    }

    /// Makes the first `count` sequences decodable. They need no further KV block.
    void decode(std::size_t count) {
        decodable.clear();
        for (std::size_t i = 0; i < count; ++i) {
            sequences[i].blocks_needed = 0;
            decodable.push_back(&sequences[i]);
        }
    }

    molink::StepPlan plan(molink::Scheduler& scheduler) {
        stages.back().cargo = molink::LinkCargo::tokens;
        for (molink::SequenceView& sequence : sequences) {
            const auto found = std::find(prefilling.begin(), prefilling.end(), &sequence);
            if (found != prefilling.end()) sequence.state = molink::SequenceState::prefilling;
        }
        view.waiting = waiting;
        view.prefilling = prefilling;
        view.decodable = decodable;
        view.stages = stages;
        molink::StepPlan made;
        scheduler.plan(view, made);
        return made;
    }
};
