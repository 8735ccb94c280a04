/* Aborts the process when an allocation failed, with a line on stderr that says why. It does not
 * use the log, because a log line needs memory. */
#include "base/memory.h"

#include <stdio.h>

void *memory_need(void *p)
{
    if (!p) {
        fputs("commitrelay: out of memory\n", stderr);
        abort();
    }
    return p;
}
