/*
 * Events out, answers in. A message is sent when it is its turn in its lane and the server has
 * given credit for its address. It is settled when the server has answered.
 */
#include "sink/amqp/internal.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define STARVING_WAIT_US (250 * US_PER_MS)

static void tokens_add(struct amqp_tokens *t, uint64_t token)
{
    if (t->at == t->count) {
        t->at = t->count = 0;
    }
    if (t->count == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 256;
        t->items = memory_need(realloc(t->items, t->cap * sizeof *t->items));
    }
    t->items[t->count++] = token;
}

void amqp_fail(struct amqp *a, const struct error *err, bool broken)
{
    a->broken = a->broken || broken;
    if (!amqp_has_failed(a)) {
        a->failure = *err;
        a->told = false;
    }
}

void amqp_forget(struct amqp *a)
{
    lanes_clear(&a->lanes);
    a->ready.at = a->ready.count = a->delivered.at = a->delivered.count = 0;
    for (size_t i = 0; i < a->link.senders_count; i++) {
        a->link.senders[i]->pending = 0;
    }
    a->passed = 0;
    a->starving_us = a->stuck_us = 0;
    error_clear(&a->failure);
}

/* --- answers --- */

bool amqp_settle(struct amqp *a, uint64_t token)
{
    uint64_t next = 0;
    struct amqp_sender *s = (struct amqp_sender *)(uintptr_t)lanes_about(&a->lanes, token);
    if (!lanes_done(&a->lanes, token, &next)) {
        return false;
    }
    s->pending--;
    if (next) {
        tokens_add(&a->ready, next);
    }
    return true;
}

static void take_refusal(struct amqp *a, uint64_t token, const struct error *refusal)
{
    if (!lanes_about(&a->lanes, token)) {
        return; /* of before the last start */
    }
    if (refusal->class != ERROR_POISON) {
        amqp_fail(a, refusal, false);
        return;
    }
    struct error *kept = memory_need(malloc(sizeof *kept));
    *kept = *refusal;
    if (!lanes_refuse(&a->lanes, token, kept)) {
        free(kept);
    }
}

void amqp_answered(void *ctx, uint64_t token, const struct error *refusal)
{
    struct amqp *a = ctx;
    if (refusal) {
        take_refusal(a, token, refusal);
    } else if (amqp_settle(a, token)) {
        tokens_add(&a->delivered, token);
    }
}

/* --- sending --- */

static void too_large(const struct amqp *a, const struct amqp_message *m, struct error *err)
{
    error_set(err, ERROR_POISON, "amqp",
              "the event has %zu bytes as a message, and %s takes %llu at the address \"%s\"; make "
              "the event smaller, or raise the broker's limit",
              m->len, amqp_link_server(&a->link), (unsigned long long)amqp_sender_max(m->to),
              m->to->address);
}

/* The message can never be sent: its lane stands still, and the refusal is reported in its turn. */
static void refuse_unsent(struct amqp *a, uint64_t token, const struct error *why)
{
    free(lanes_take(&a->lanes, token, clock_mono_us()));
    take_refusal(a, token, why);
}

static void send_one(struct amqp *a, uint64_t token)
{
    struct error err;
    const struct amqp_message *waiting = lanes_load(&a->lanes, token);
    uint64_t max = amqp_sender_max(waiting->to);
    if (max > 0 && waiting->len > max) {
        too_large(a, waiting, &err);
        refuse_unsent(a, token, &err);
        return;
    }
    struct amqp_message *m = lanes_take(&a->lanes, token, clock_mono_us());
    amqp_link_send(&a->link, m->to, token, (struct slice){m->bytes, m->len});
    free(m);
}

/* Why the first of `ready` is not sent. */
static void note_waiting(struct amqp *a, bool starves, bool stuck)
{
    int64_t now = clock_mono_us();
    a->starving_us = !starves ? 0 : a->starving_us ? a->starving_us : now;
    a->stuck_us = !stuck ? 0 : a->stuck_us ? a->stuck_us : now;
}

void amqp_send_ready(struct amqp *a)
{
    bool starves = false, stuck = false;
    while (amqp_any(&a->ready) && !amqp_has_failed(a)) {
        uint64_t token = a->ready.items[a->ready.at];
        struct amqp_sender *s = ((const struct amqp_message *)lanes_load(&a->lanes, token))->to;
        if (s->state == SENDER_REFUSED) {
            refuse_unsent(a, token, &s->refusal);
        } else if (amqp_sender_ready(&a->link, s)) {
            send_one(a, token);
        } else {
            starves = amqp_sender_starves(s);
            stuck = !starves && s->state == SENDER_UP;
            break;
        }
        a->ready.at++;
    }
    note_waiting(a, starves, stuck);
}

void amqp_run(struct amqp *a)
{
    struct error err;
    if (amqp_link_run(&a->link, &err)) {
        amqp_fail(a, &err, true);
        return;
    }
    if (!amqp_any(&a->ready) && !a->starving_us) {
        return;
    }
    amqp_send_ready(a);
    if (a->link.unsent && amqp_link_run(&a->link, &err)) {
        amqp_fail(a, &err, true);
    }
}

/* --- taking --- */

int amqp_take(struct amqp *a, const struct event *e, uint64_t token, struct error *err)
{
    struct slice address, bytes;
    if (name_template_make(a->address, e, &a->scratch, &address, err) ||
        amqp_address_check(address, !name_template_fixed(a->address), err)) {
        return RESULT_ERROR;
    }
    struct amqp_sender *s = amqp_link_sender(&a->link, address);
    if (!s) {
        return RESULT_AGAIN;
    }
    if (amqp_message_make(&a->maker, s->address, a->conf->durable, e, &bytes, err)) {
        return RESULT_ERROR;
    }
    struct amqp_message *m = memory_need(malloc(sizeof *m + bytes.len));
    m->to = s;
    m->len = bytes.len;
    memcpy(m->bytes, bytes.ptr, bytes.len);
    s->pending++;
    if (lanes_add(&a->lanes, token, e->key, m, s)) {
        tokens_add(&a->ready, token);
        amqp_send_ready(a);
    }
    return RESULT_DONE;
}

int amqp_starving(const struct amqp *a, struct error *err)
{
    const struct amqp_message *m = lanes_load(&a->lanes, a->ready.items[a->ready.at]);
    error_set(err, ERROR_BUSY, "amqp",
              "%s gives no credit for the address \"%s\" for %.1f s: it may be full, or short of "
              "memory or disk; events wait until it has room",
              amqp_link_server(&a->link), m->to->address,
              (double)(clock_mono_us() - a->starving_us) / 1e6);
    err->retry_after_us = STARVING_WAIT_US;
    return RESULT_ERROR;
}

bool amqp_is_starving(const struct amqp *a)
{
    return a->starving_us && amqp_any(&a->ready) &&
           clock_mono_us() - a->starving_us >= AMQP_SLOW_US;
}
