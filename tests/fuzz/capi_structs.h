#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <molink.h>

#include "fuzz_input.h"

// Structs for the C interface with any size, each in a block of exactly the size that it claims, so
// that the sanitizers see an access beyond it; and the checks that need only such structs.
namespace molink::fuzz {

/// A molink_request with values from the input. It owns everything that its pointers refer to.
class AnyRequest {
public:
    explicit AnyRequest(FuzzInput& input);
    const molink_request* get() const { return given_; }
    /// Returns n as the library must read it: the default if the claimed size excludes it.
    std::int32_t completions() const;
    /// Returns false when molink.h says that such a request is refused.
    bool may_pass() const;

private:
    void fill_prompt(FuzzInput& input);
    void fill_lists(FuzzInput& input);
    void fill_numbers(FuzzInput& input);
    void shape(FuzzInput& input);

    molink_request whole_ = MOLINK_REQUEST_INIT;
    std::string prompt_;
    std::vector<std::int32_t> tokens_, stops_, bias_tokens_;
    std::vector<float> bias_values_;
    std::vector<std::string> texts_;
    std::vector<const char*> text_pointers_;
    std::unique_ptr<std::byte[]> block_;
    const molink_request* given_ = nullptr;
    bool tail_is_zero_ = true;
};

/// Check copies of the metrics and of the cluster, which are read with any index and size.
void check_metrics(FuzzInput& input, molink_engine* engine);
void check_cluster(FuzzInput& input, molink_engine* engine);
/// Checks the names of values that exist and of others.
void check_names(FuzzInput& input);
/// Checks options of any size and with any values, for models that do not exist.
void check_options(FuzzInput& input);
/// Calls one function without its handle or its output.
void check_missing(FuzzInput& input, molink_engine* engine);

/// Checks what molink.h promises of every error, releases it and returns its code.
std::int32_t code_of(molink_error* error);

}  // namespace molink::fuzz
