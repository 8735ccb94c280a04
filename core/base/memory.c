/* Aborts the process when an allocation failed, with a line on stderr that says why. It does not
 * use the log, because a log line needs memory. And gives free memory back. */
#include "base/memory.h"

#include <malloc.h>
#include <stdio.h>

void *memory_need(void *p)
{
    if (!p) {
        fputs("commitrelay: out of memory\n", stderr);
        abort();
    }
    return p;
}

/* What is freed by itself goes back only from the end of the heap, and a single block there holds
 * all that is free before it. */
void memory_give_back(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}
