/* Frees records; consume/decode makes them. */
#include "consume/record.h"

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
