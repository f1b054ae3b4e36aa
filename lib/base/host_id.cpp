// Identifies the machine. The kernel draws an id at every boot, and all containers on one machine
// see the same id. A system without such an id returns "unknown", so all such machines would look
// like one. Every supported system has an id.
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
