/*
 * The senders of a connection: attached, refused, made room for (link.h).
 */
#include "sink/amqp/link.h"

#include "base/memory.h"
#include "sink/amqp/errors.h"

#include <proton/delivery.h>
#include <proton/link.h>
#include <proton/session.h>
#include <proton/terminus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes that may wait for the socket. Proton itself has no limit: it would hold whatever is sent.
 */
enum { OUTGOING_MAX = 1 << 20 };

/* --- attach and forget --- */

static void capability(pn_terminus_t *t, const char *name)
{
    pn_data_t *data = pn_terminus_capabilities(t);
    pn_data_put_symbol(data, pn_bytes(strlen(name), name));
}

static const char *next_name(struct amqp_link *l, char out[160])
{
    snprintf(out, 160, "commitrelay %.100s %llu", l->env->pipeline, (unsigned long long)l->names++);
    return out;
}

static void attach(struct amqp_link *l, struct amqp_sender *s)
{
    char name[160];
    s->link = memory_need(pn_sender(l->session, next_name(l, name)));
    pn_link_set_context(s->link, s);
    pn_link_set_snd_settle_mode(s->link, PN_SND_UNSETTLED);
    pn_terminus_set_address(pn_link_source(s->link), "commitrelay");
    pn_terminus_set_address(pn_link_target(s->link), s->address);
    capability(pn_link_target(s->link), l->conf->kind == AMQP_QUEUE ? "queue" : "topic");
    pn_link_open(s->link);
    s->state = SENDER_ATTACHING;
    s->since_us = clock_mono_us();
}

static void drop_link(struct amqp_sender *s)
{
    pn_link_set_context(s->link, NULL);
    pn_link_close(s->link);
    pn_link_free(s->link);
    s->link = NULL;
}

static void free_sender(struct amqp_sender *s)
{
    free(s->address);
    free(s);
}

void amqp_senders_clear(struct amqp_link *l)
{
    for (size_t i = 0; i < l->senders_count; i++) {
        free_sender(l->senders[i]);
    }
    l->senders_count = 0;
}

/* --- find --- */

static struct amqp_sender *find(const struct amqp_link *l, struct slice address)
{
    for (size_t i = 0; i < l->senders_count; i++) {
        if (slice_equal_str(address, l->senders[i]->address)) {
            return l->senders[i];
        }
    }
    return NULL;
}

/* A place for one more: the first free one, or that of the sender that was not used for longest and
 * has nothing to do. NULL: there is none. */
static struct amqp_sender **place(struct amqp_link *l)
{
    struct amqp_sender **oldest = NULL;
    if (l->senders_count < AMQP_SENDERS_MAX) {
        return &l->senders[l->senders_count++];
    }
    for (size_t i = 0; i < l->senders_count; i++) {
        struct amqp_sender *s = l->senders[i];
        if (s->pending == 0 && (!oldest || s->used < (*oldest)->used)) {
            oldest = &l->senders[i];
        }
    }
    if (oldest) {
        drop_link(*oldest);
        free_sender(*oldest);
    }
    return oldest;
}

struct amqp_sender *amqp_link_sender(struct amqp_link *l, struct slice address)
{
    struct amqp_sender *s = find(l, address);
    if (!s) {
        struct amqp_sender **at = place(l);
        if (!at) {
            return NULL;
        }
        *at = s = memory_need(calloc(1, sizeof *s));
        s->address = memory_need(strndup(address.ptr, address.len));
        attach(l, s);
    } else if (s->state == SENDER_REFUSED && s->pending == 0) { /* it may be there by now */
        drop_link(s);
        attach(l, s);
    }
    s->used = ++l->uses;
    return s;
}

/* --- send --- */

bool amqp_sender_starves(const struct amqp_sender *s)
{
    return s->state == SENDER_UP && pn_link_credit(s->link) <= 0;
}

bool amqp_sender_ready(const struct amqp_link *l, const struct amqp_sender *s)
{
    return s->state == SENDER_UP && pn_link_credit(s->link) > 0 && l->queued < OUTGOING_MAX;
}

uint64_t amqp_sender_max(const struct amqp_sender *s)
{
    return pn_link_remote_max_message_size(s->link);
}

void amqp_link_send(struct amqp_link *l, struct amqp_sender *s, uint64_t token, struct slice bytes)
{
    pn_delivery(s->link, pn_dtag((const char *)&token, sizeof token));
    pn_link_send(s->link, bytes.ptr, bytes.len); /* copies all of it */
    pn_link_advance(s->link);
    l->unsent = true;
    l->unanswered++;
    l->queued += bytes.len;
}

/* --- what the server says --- */

static void fail(struct amqp_link *l, const struct error *err)
{
    if (l->failure.class == ERROR_NONE) {
        l->failure = *err;
    }
}

/* An address that is made of an event and is not there is that event's fault. One that the
 * configuration names is the operator's. */
static bool blame_event(const struct amqp_link *l, pn_condition_t *c, struct error *err)
{
    if (l->fixed || !amqp_is_not_found(c)) {
        return false;
    }
    err->class = ERROR_POISON;
    err->exit_code = EXIT_CODE_GAVE_UP;
    return true;
}

/* A link has ended. A message that was sent by it gets no answer any more: a new connection sends
 * it again. */
static void refuse(struct amqp_link *l, struct amqp_sender *s, pn_condition_t *c)
{
    struct error err;
    amqp_error_link(&err, amqp_link_server(l), s->address, c);
    if (s->state == SENDER_ATTACHING && blame_event(l, c, &err)) {
        s->refusal = err;
        s->state = SENDER_REFUSED;
        return;
    }
    fail(l, &err);
}

/* The server has answered to our attach. A link without a terminus is refused; why comes next. */
static void attached(struct amqp_sender *s)
{
    pn_terminus_t *t = pn_link_remote_target(s->link);
    if (pn_terminus_get_type(t) != PN_UNSPECIFIED && pn_terminus_get_address(t)) {
        s->state = SENDER_UP;
    }
}

static void answered(struct amqp_link *l, pn_delivery_t *d)
{
    struct amqp_sender *s = pn_link_get_context(pn_delivery_link(d));
    pn_delivery_tag_t tag = pn_delivery_tag(d);
    uint64_t token = 0;
    struct error err;
    if (!s || !pn_delivery_updated(d) || tag.size != sizeof token) {
        return;
    }
    memcpy(&token, tag.start, sizeof token);
    enum amqp_verdict verdict = amqp_verdict_of(d, amqp_link_server(l), s->address, &err);
    if (verdict == AMQP_REFUSED) {
        blame_event(l, pn_disposition_condition(pn_delivery_remote(d)), &err);
    }
    pn_delivery_clear(d);
    if (verdict != AMQP_OPEN) {
        pn_delivery_settle(d);
        l->unanswered--;
        l->answer(l->ctx, token, verdict == AMQP_ACCEPTED ? NULL : &err);
    }
}

void amqp_senders_event(struct amqp_link *l, pn_event_t *e)
{
    pn_link_t *link = pn_event_link(e);
    struct amqp_sender *s = link ? pn_link_get_context(link) : NULL;
    if (!s) {
        return;
    }
    switch (pn_event_type(e)) {
    case PN_LINK_REMOTE_OPEN:
        attached(s);
        break;
    case PN_LINK_REMOTE_CLOSE:
    case PN_LINK_REMOTE_DETACH:
        refuse(l, s, pn_link_remote_condition(link));
        break;
    case PN_DELIVERY:
        answered(l, pn_event_delivery(e));
        break;
    default:
        break;
    }
}

/* --- those that are asked for --- */

static const struct amqp_sender *longest(const struct amqp_link *l)
{
    const struct amqp_sender *oldest = NULL;
    for (size_t i = 0; i < l->senders_count; i++) {
        const struct amqp_sender *s = l->senders[i];
        if (s->state == SENDER_ATTACHING && (!oldest || s->since_us < oldest->since_us)) {
            oldest = s;
        }
    }
    return oldest;
}

int64_t amqp_senders_deadline(const struct amqp_link *l)
{
    const struct amqp_sender *s = longest(l);
    return s ? s->since_us + l->conf->net.connect_timeout_us : DEADLINE_NEVER;
}

void amqp_senders_watch(struct amqp_link *l)
{
    struct error err;
    const struct amqp_sender *s = longest(l);
    if (s && clock_mono_us() >= s->since_us + l->conf->net.connect_timeout_us) {
        error_set(&err, ERROR_RETRY, "amqp",
                  "%s: no answer to the link to the address \"%s\" within sink.connect_timeout "
                  "(%.1f s); see whether the broker stands still",
                  amqp_link_server(l), s->address, (double)l->conf->net.connect_timeout_us / 1e6);
        fail(l, &err);
    }
}
