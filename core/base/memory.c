/* An allocation is there, or the process is not. */
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
