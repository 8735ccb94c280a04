/* Frees records and notes their faults. consume/decode makes them. */
#include "consume/record.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void record_free(struct record *r)
{
    if (r) {
        buf_release(&r->memory);
        buf_release(&r->made);
        buf_release(&r->plain);
        free(r);
    }
}

void record_fault(struct record *r, const char *fmt, ...)
{
    va_list ap;
    if (r->fault[0]) {
        return;
    }
    va_start(ap, fmt);
    vsnprintf(r->fault, sizeof r->fault, fmt, ap);
    va_end(ap);
}
