/* Decides when a heartbeat is due: the slot has not moved for a whole interval although the WAL has
 * grown. */
#include "cdc/heartbeat.h"

void heartbeat_start(struct heartbeat *h, int64_t interval_us, int64_t now_us)
{
    *h = (struct heartbeat){.interval_us = interval_us, .moved_us = now_us};
}

bool heartbeat_due(struct heartbeat *h, uint64_t confirmed, uint64_t current, int64_t now_us)
{
    if (confirmed != h->confirmed) {
        h->confirmed = confirmed;
        h->moved_us = h->always ? h->moved_us : now_us;
    }
    bool idle = confirmed >= current && !h->always;
    if (h->refused || idle || now_us - h->moved_us < h->interval_us) {
        return false;
    }
    h->moved_us = now_us;
    return true;
}
