/* Removes dead letters that were retried or dropped long enough ago, a few at a time, so that no
 * statement holds anything up. */
#include "pipeline/internal.h"

#include "base/log.h"

enum { AT_A_TIME = 100 };
static const int64_t EVERY_US = 60 * US_PER_SECOND, SOON_US = US_PER_SECOND;

/* A role made for an earlier version may not delete. Delivery does not depend on it. */
static int no_right(struct pipeline *p, struct error *err)
{
    log_error(
        LOG_WARN, p->name,
        "dead letters that were retried or dropped are not removed; grant delete on the relay's table of dead letters (schema/postgres/roles.sql) and start again",
        err);
    error_clear(err);
    p->expire_at_us = DEADLINE_NEVER;
    return RESULT_DONE;
}

int retention_tend(struct pipeline *p, struct error *err)
{
    int64_t keep = p->parts.keep_letters_us, now = clock_mono_us(), removed = 0;
    if (keep == 0 || p->parts.one_order || p->parts.replay || p->progress.saving || p->draining ||
        p->ended || now < p->expire_at_us) {
        return RESULT_DONE;
    }
    int rc = p->parts.store->dead_letter_expire(p->store, clock_wall_us() - keep, AT_A_TIME,
                                                &removed, err);
    if (rc == RESULT_ERROR) {
        return err->exit_code == EXIT_CODE_PERMISSION ? no_right(p, err) : RESULT_ERROR;
    }
    bool more = rc == RESULT_AGAIN || removed == AT_A_TIME;
    p->expire_at_us = now + (more || keep < EVERY_US ? SOON_US : EVERY_US);
    if (removed > 0) {
        log_write(LOG_INFO, p->name, "removed %lld dead letters that were dealt with long ago",
                  (long long)removed);
    }
    return RESULT_DONE;
}
