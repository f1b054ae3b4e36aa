// The smallest program: it runs one prompt on one model in one process.
#include <future>
#include <iostream>

#include <molink/engine.h>

int main(int argc, char** argv) {
    molink::EngineOptions options;
    options.model_dir = argc > 1 ? argv[1] : "examples/models/kjv";
    auto engine = molink::Engine::open(std::move(options));
    if (!engine) return std::cerr << engine.error().to_string() << "\n", 1;
    if (auto ready = (*engine)->wait_ready(60'000'000); !ready.ok()) return 1;
    std::promise<void> done;
    auto id =
        (*engine)->submit({.prompt = "In the beginning"}, [&](const molink::RequestEvent& event) {
            std::cout << event.text << std::flush;
            if (event.finish_reason != molink::FinishReason::none) done.set_value();
        });
    if (!id) return std::cerr << id.error().to_string() << "\n", 1;
    done.get_future().wait();
    std::cout << "\n";
}
