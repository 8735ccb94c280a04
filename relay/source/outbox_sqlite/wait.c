/* Waiting for a lock of another process: tries again every few milliseconds, says so when it takes
 * long, and gives up in the end. */
#include "source/outbox_sqlite/wait.h"

#include "base/clock.h"

#include <stdio.h>

enum {
    BUSY_INTERVAL_US = 5 * 1000,
    LONG_WAIT_US = 1000 * 1000, /* a shorter wait is not reported */
    SHOWN_EVERY_S = 5
};

bool outbox_sqlite_wait_on(struct outbox_sqlite_wait *w, int64_t timeout_us, int64_t now_us)
{
    w->since_us = w->since_us ? w->since_us : now_us;
    if (now_us - w->since_us >= timeout_us) {
        w->since_us = 0;
        return false;
    }
    w->next_us = now_us + BUSY_INTERVAL_US;
    return true;
}

/* The text is logged whenever it changes, so the seconds go in steps of SHOWN_EVERY_S. */
void outbox_sqlite_wait_tell(const struct outbox_sqlite_wait *a, const struct outbox_sqlite_wait *b,
                             const char *path, int64_t now_us, char *out, size_t size)
{
    bool second = b->since_us && (!a->since_us || b->since_us < a->since_us);
    int64_t since = second ? b->since_us : a->since_us;
    int64_t seconds = (now_us - since) / US_PER_SECOND;
    out[0] = '\0';
    if (since && now_us - since >= LONG_WAIT_US) {
        snprintf(
            out, size, "waits since more than %lld s for a lock another process holds on %.150s",
            seconds < SHOWN_EVERY_S ? 1LL : (long long)(seconds - seconds % SHOWN_EVERY_S), path);
    }
}
