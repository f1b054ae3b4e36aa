/* Includes only molink_plugin.h, twice, in strict C99. The test is that it compiles. */
#include <molink_plugin.h>
/* again */
#include <molink_plugin.h>

int abi_plugin_header_alone(void);
int abi_plugin_header_alone(void) {
    const molink_scheduler_vtable table = MOLINK_SCHEDULER_VTABLE_INIT;
    return table.abi_version == MOLINK_PLUGIN_ABI_VERSION;
}
