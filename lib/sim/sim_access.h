#pragma once

#include <map>
#include <string_view>
#include <utility>

#include "security/access.h"

namespace molink::sim {

/// The key of a simulated host. There is no secret: the simulated transport shows it as it is.
PublicKey sim_key(std::string_view host);

/// Access by a list in memory. Tokens are for one use and do not expire.
class SimAccess final : public AccessControl {
public:
    Access access(const PublicKey& key) const override {
        const auto found = keys_.find(key);
        return found == keys_.end() ? Access::none : found->second;
    }
    Status enrol(const PublicKey& pass, const PublicKey& key, std::string_view name) override;
    Result<bool> refresh() override { return std::exchange(changed_, false); }

    void set(const PublicKey& key, Access access) {
        keys_[key] = access;
        changed_ = true;
    }

private:
    std::map<PublicKey, Access> keys_;
    bool changed_ = false;
};

}  // namespace molink::sim
