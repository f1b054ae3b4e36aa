// Runs a complete cluster inside one process: a head and two workers that are connected by
// in-process links. A desktop program or a test can embed a cluster in this way. Prints the split
// and then the text.
#include <future>
#include <iostream>
#include <memory>
#include <vector>

#include <molink/engine.h>
#include <molink/worker.h>

namespace {

int fail(const molink::Status& status) {
    std::cerr << status.to_string() << "\n";
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    const std::string model = argc > 1 ? argv[1] : "examples/models/kjv";
    const auto network = molink::make_inproc_hub();
    const auto transport = [network]() -> molink::Result<std::unique_ptr<molink::Transport>> {
        return network->make_transport();
    };

    molink::EngineOptions options;
    options.model_dir = model;
    options.listen = "inproc://head";
    options.transport = transport;
    options.stages = 3;
    auto engine = molink::Engine::open(std::move(options));
    if (!engine) return fail(engine.error());

    std::vector<std::unique_ptr<molink::Worker>> workers;
    for (const char* name : {"first", "second"}) {
        molink::WorkerOptions worker;
        worker.model_dir = model;
        worker.name = name;
        worker.listen = std::string("inproc://") + name;
        worker.join = "inproc://head";
        worker.transport = transport;
        auto opened = molink::Worker::open(std::move(worker));
        if (!opened) return fail(opened.error());
        workers.push_back(std::move(*opened));
    }
    if (auto ready = (*engine)->wait_ready(60'000'000); !ready.ok()) return fail(ready);
    for (const molink::NodeInfo& node : (*engine)->cluster().nodes) {
        std::cout << node.name << ": layers " << node.layers.begin << " to " << node.layers.end - 1
                  << "\n";
    }
    std::promise<void> done;
    const auto print = [&](const molink::RequestEvent& event) {
        std::cout << event.text << std::flush;
        if (event.finish_reason != molink::FinishReason::none) done.set_value();
    };
    auto id = (*engine)->submit({.prompt = "And it came to pass", .max_tokens = 60}, print);
    if (!id) return fail(id.error());
    done.get_future().wait();
    std::cout << "\n";
}
