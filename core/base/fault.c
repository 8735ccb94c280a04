/* Kills or stops the process at the fault point that the environment names. A test does so, starts
 * the relay again and checks that no event is lost: a crash at this point is safe. */
#include "base/fault.h"

#ifdef COMMITRELAY_FAULTS
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static _Atomic unsigned passages; /* how often the point named by the environment was reached */

void fault_point_hit(const char *name)
{
    const char *spec = getenv("COMMITRELAY_FAULT");
    size_t len = strlen(name);
    if (!spec || strncmp(spec, name, len) != 0 || (spec[len] != ':' && spec[len] != '@')) {
        return;
    }
    unsigned long at = spec[len] == '@' ? strtoul(spec + len + 1, NULL, 10) : 1;
    const char *action = strchr(spec, ':');
    if (atomic_fetch_add(&passages, 1) + 1 != at || !action) {
        return;
    }
    if (strcmp(action, ":kill") == 0) {
        raise(SIGKILL);
    } else if (strcmp(action, ":stop") == 0) {
        raise(SIGSTOP);
    }
}

bool fault_mutant(const char *name)
{
    const char *wanted = getenv("COMMITRELAY_MUTANT");
    return wanted && strcmp(wanted, name) == 0;
}
#else
typedef int fault_compiled_out; /* ISO C forbids an empty translation unit */
#endif
