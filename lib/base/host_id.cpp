// Tells machines apart. The kernel draws an id at every boot, and containers on one machine see the
// same one. A system without it is "unknown", which makes such machines look like one; none of the
// supported systems is.
#include "base/host_id.h"

#include <fstream>

namespace molink {

std::string host_id() {
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    std::string id;
    if (!(file >> id)) id = "unknown";
    return id;
}

}  // namespace molink
