// Decodes bytes from the network as a message. A refusal is data_loss. A decoded message keeps
// every bound that decode_message promises, and encodes to bytes that decode to an equal message.
#include "fuzz_input.h"
#include "unit/wire/message_samples.h"
#include "wire/messages.h"

using namespace molink;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto decoded = decode_message(std::as_bytes(std::span(data, size)));
    if (!decoded) {
        FUZZ_CHECK(decoded.error().code() == StatusCode::data_loss);
        FUZZ_CHECK(!decoded.error().message().empty());
        return 0;
    }
    FUZZ_CHECK(test::within_bounds(*decoded));
    const Bytes bytes = encode_message(*decoded);
    FUZZ_CHECK(!bytes.empty());
    const auto again = decode_message(bytes);
    FUZZ_CHECK(again.has_value());
    FUZZ_CHECK(*again == *decoded);
    FUZZ_CHECK(encode_message(*again) == bytes);
    return 0;
}
