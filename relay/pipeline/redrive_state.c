/* The state of a retry of dead letters. These functions report something to it or ask it. The work
 * is in redrive.c. */
#include "pipeline/redrive.h"

#include "pipeline/internal.h"
#include "pipeline/side.h"
#include <stdio.h>
#include <stdlib.h>

size_t redrive_parse(const char *argument, int64_t *ids)
{
    size_t n = 0;
    for (const char *p = argument; n < REDRIVE_LETTERS_MAX; p++) {
        char *end;
        long long id = strtoll(p, &end, 10);
        if (end == p || id <= 0 || (*end && *end != ',')) {
            return 0;
        }
        ids[n++] = id;
        p = end;
        if (!*p) {
            return n;
        }
    }
    return 0;
}

bool redrive_begin(struct pipeline *p, const char *argument)
{
    struct redrive *r = &p->redrive;
    r->count = redrive_parse(argument, r->letters);
    r->next = r->sent = r->failed = r->unchanged = r->edited = 0;
    r->gave_up = false;
    r->first_why[0] = '\0';
    return r->count > 0;
}

bool redrive_under_way(const struct redrive *r)
{
    return r->state != REDRIVE_BETWEEN;
}

void redrive_failed(struct pipeline *p, const struct error *why)
{
    p->redrive.why = *why;
    p->redrive.state = REDRIVE_FAILED;
}

void redrive_reported(struct pipeline *p, bool delivered, const struct error *why)
{
    struct redrive *r = &p->redrive;
    if (delivered) {
        r->state = REDRIVE_ACKED;
        p->answered = true;
        return;
    }
    /* It was alone, so it is to blame. As after any failed report the sink is started again. */
    redrive_failed(p, why);
    p->downstream.ready = false;
    p->downstream.retry_at_us = 0;
}

void redrive_sink_failed(struct pipeline *p, const struct error *why)
{
    const struct side *sink = &p->downstream;
    if (p->redrive.state != REDRIVE_READY && p->redrive.state != REDRIVE_SENT) {
        return;
    }
    if (p->parts.one_order && why->class == ERROR_RETRY &&
        (sink->failures == 0 || !nothing_for_long(p, sink->first_failed_at_us))) {
        redrive_look_again(p, false);
    } else {
        redrive_failed(p, why);
    }
}

void redrive_look_again(struct pipeline *p, bool all)
{
    struct redrive *r = &p->redrive;
    if (r->state == REDRIVE_READY || r->state == REDRIVE_SENT ||
        (all && r->state == REDRIVE_ACKED)) {
        r->state = REDRIVE_BETWEEN;
    }
}

void redrive_answer(const struct redrive *r, char *out, size_t size)
{
    CLEANUP(buf_release) struct buf text = {0};
    size_t rest = r->count - r->next;
    if (r->failed + rest > 0) {
        buf_printf(&text, "not delivered: %zu of %zu, which stay open: %s; ", r->failed + rest,
                   r->count, r->first_why);
    }
    buf_printf(&text, "sent again: %zu", r->sent);
    if (r->edited > 0) {
        buf_printf(&text, "; edited while they were sent, so they stay open: %zu", r->edited);
    }
    if (r->unchanged > 0) {
        buf_printf(&text, "; not open, so nothing was done: %zu", r->unchanged);
    }
    snprintf(out, size, "%s", buf_str(&text));
}
