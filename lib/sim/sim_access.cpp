// Keys of simulated hosts. They are drawn from the names, so that a host that restarts has the key
// that it had before, as a real one reads it from its file.
// There is no cryptography: what a host shows is believed by the simulated transport.
#include "sim/sim_access.h"

#include <cstring>

#include "base/hash.h"

namespace molink::sim {

PublicKey sim_key(std::string_view host) {
    PublicKey key;
    for (std::size_t at = 0; at < key.bytes.size(); at += sizeof(std::uint64_t)) {
        const std::uint64_t hash = hash_string(host, at + 1);
        std::memcpy(key.bytes.data() + at, &hash, sizeof hash);
    }
    return key;
}

Status SimAccess::enrol(const PublicKey& pass, const PublicKey& key, std::string_view) {
    if (access(pass) != Access::token) {
        return Status(StatusCode::failed_precondition, "the token is unknown or used");
    }
    set(pass, Access::none);
    set(key, Access::member);
    return {};
}

}  // namespace molink::sim
