/* Makes an event of a logical message. Its body is a JSON object with the fields of an event (id,
 * aggregatetype, payload and so on), whose bytes are sent unchanged. A body that is not so becomes
 * a poison event that says why. A format for changes sends any body as it is. */
#include "cdc/intake/intake.h"

#include "value/json.h"
#include <stdio.h>

enum { EVENT_BYTES = 512 };

/* Does the format send messages as changes, with any content? */
static bool is_change(const struct intake *in)
{
    return in->conf->as == CDC_AS_CHANGES && in->env->shape.messages;
}

bool intake_message_wanted(const struct intake *in, struct slice prefix)
{
    bool numbered = is_change(in) && in->env->shape.transactions; /* so delivered ones count, too */
    bool skipped = is_change(in) && in->env->shape.skip[CHANGE_MESSAGE];
    if (skipped || (txn_was_delivered(in->txn, 0) && !numbered)) {
        return false;
    }
    for (size_t i = 0; i < in->conf->messages.count; i++) {
        if (slice_equal_str(prefix, in->conf->messages.items[i])) {
            return true;
        }
    }
    return false;
}

bool intake_reads_bodies(const struct intake *in)
{
    return in->conf->messages.count > 0 && !is_change(in);
}

/* --- the body --- */

enum body_member {
    BODY_ID,
    BODY_AGGREGATETYPE,
    BODY_AGGREGATEID,
    BODY_TYPE,
    BODY_PAYLOAD,
    BODY_HEADERS,
    BODY_MEMBERS
};

static const char *const names[BODY_MEMBERS] = {"id",   "aggregatetype", "aggregateid",
                                                "type", "payload",       "headers"};

struct body {
    struct intake *in;
    struct arena *arena;
    struct json_member members[BODY_MEMBERS];
    bool given[BODY_MEMBERS];
    struct slice *further; /* values of the members that the route names */
};

static const char *say(struct arena *arena, const char *what, const char *name)
{
    size_t size = strlen(what) + strlen(name) + 80;
    char *text = arena_bytes(arena, size);
    snprintf(text, size, "the logical message's body: %s%s%s", name, name[0] ? " " : "", what);
    return text;
}

/* The value as text: the characters of a string, the JSON text of any other value, a null slice for
 * null. False: the string has half a surrogate pair or U+0000, so it is not valid text. */
static bool text_of(const struct json_member *m, struct arena *arena, struct slice *ret)
{
    *ret = m->type == JSON_IS_NULL ? SLICE_NULL : m->value;
    if (m->type != JSON_IS_STRING || !m->value_escaped) {
        return true;
    }
    char *out = arena_bytes(arena, m->value.len + 1);
    size_t len;
    if (!json_unescape(m->value, out, &len)) {
        return false;
    }
    *ret = (struct slice){out, len};
    return true;
}

/* Notes the member if it has a meaning. Returns why it cannot be taken, or NULL. */
static const char *take_member(struct body *b, const struct json_member *m)
{
    for (size_t i = 0; i < b->in->env->columns_count; i++) {
        if (!slice_equal_str(m->name, b->in->env->columns[i])) {
            continue;
        }
        if (source_gives_json(b->in->env, i)) {
            b->further[i] = json_member_text(m);
        } else if (!text_of(m, b->arena, &b->further[i])) {
            return say(b->arena, "is no text (half a surrogate pair, or \\u0000)",
                       b->in->env->columns[i]);
        }
    }
    for (size_t i = 0; i < BODY_MEMBERS; i++) {
        if (!slice_equal_str(m->name, names[i])) {
            continue;
        }
        if (b->given[i]) {
            return say(b->arena, "is there twice", names[i]);
        }
        b->given[i] = true;
        b->members[i] = *m;
    }
    return NULL;
}

static const char *scan(struct body *b, struct slice content)
{
    struct json_members it = json_members(content);
    struct json_member m;
    for (;;) {
        switch (json_members_next(&it, &m)) {
        case JSON_MEMBER: {
            const char *why = take_member(b, &m);
            if (why) {
                return why;
            }
            break;
        }
        case JSON_END:
            return NULL;
        case JSON_FAULT: {
            char at[64];
            snprintf(at, sizeof at, "no JSON object, at byte %zu", json_members_offset(&it));
            return say(b->arena, at, "");
        }
        }
    }
}

static const char *take_text(struct body *b, enum body_member which, struct slice *ret)
{
    const struct json_member *m = &b->members[which];
    if (!b->given[which]) {
        return say(b->arena, "is missing", names[which]);
    }
    if (m->type != JSON_IS_STRING && m->type != JSON_IS_NUMBER) {
        return say(b->arena, "must be a string", names[which]);
    }
    return text_of(m, b->arena, ret)
               ? NULL
               : say(b->arena, "is no text (half a surrogate pair, or \\u0000)", names[which]);
}

static const char *fill(struct body *b, struct event *e)
{
    struct slice *const fields[] = {&e->id, &e->aggregatetype, &e->aggregateid, &e->type};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const char *why = take_text(b, (enum body_member)i, fields[i]);
        if (why) {
            return why;
        }
    }
    if (e->id.len == 0) {
        return say(b->arena, "is empty; consumers could not recognise a repetition",
                   names[BODY_ID]);
    }
    if (!b->given[BODY_PAYLOAD]) {
        return say(b->arena, "is missing", names[BODY_PAYLOAD]);
    }
    e->payload = json_member_text(&b->members[BODY_PAYLOAD]);
    e->payload_kind = PAYLOAD_JSON;
    const struct json_member *headers = &b->members[BODY_HEADERS];
    if (b->given[BODY_HEADERS] && headers->type != JSON_IS_NULL) {
        if (headers->type != JSON_IS_OBJECT) {
            return say(b->arena, "must be an object", names[BODY_HEADERS]);
        }
        e->headers = headers->value;
    }
    return NULL;
}

/* Makes a poison event of a bad body. It keeps the body, so that the dead letter shows it. */
static void spoil(struct event *e, const char *why, struct slice content)
{
    e->id = e->aggregatetype = e->aggregateid = e->type = e->headers = SLICE_NULL;
    e->payload = content;
    e->payload_kind = PAYLOAD_TEXT;
    e->columns = NULL;
    e->poison = why;
}

static struct event *from_body(struct intake *in, struct slice content, struct batch *batch)
{
    struct body b = {.in = in, .arena = &batch->arena};
    struct event *e = batch_add(batch);
    struct slice body = arena_copy(b.arena, content);
    b.further = arena_array(b.arena, in->env->columns_count + 1, sizeof *b.further);
    e->columns = in->env->columns_count ? b.further : NULL;
    const char *why = scan(&b, body);
    why = why ? why : fill(&b, e);
    if (why) {
        spoil(e, why, body);
    }
    return e;
}

/* --- as a change --- */

static struct change *change_of(struct intake *in, enum change_op op, uint64_t lsn)
{
    struct change *c = arena_alloc(in->scratch, sizeof *c);
    *c = (struct change){.op = op,
                         .database = in->database,
                         .lsn = lsn,
                         .commit_lsn = in->txn->commit,
                         .last_commit_lsn = in->txn->last_end,
                         .xid = in->txn->xid,
                         .commit_us = in->txn->commit_us,
                         .transactional = true};
    return c;
}

static void as_change(struct intake *in, const struct pgoutput_message *m, uint64_t lsn,
                      struct batch *batch)
{
    struct change *c = change_of(in, CHANGE_MESSAGE, lsn);
    c->prefix = arena_copy(in->scratch, m->message.prefix);
    c->content = arena_copy(in->scratch, m->message.content);
    c->transactional = m->message.transactional;
    if (in->env->shape.transactions) {
        intake_number(in, c, batch);
    }
    if (!txn_was_delivered(in->txn, 0)) {
        size_t bytes = 2 * m->message.content.len + EVENT_BYTES;
        intake_place(in, batch, intake_add_apart(in, c, bytes, batch), 0, true);
    }
}

void intake_heartbeat(struct intake *in, uint64_t lsn, struct batch *batch)
{
    if (txn_was_delivered(in->txn, 0)) {
        return;
    }
    struct change *c = change_of(in, CHANGE_HEARTBEAT, lsn);
    c->prefix = SLICE_LITERAL("heartbeat");
    intake_place(in, batch, intake_add_apart(in, c, EVENT_BYTES, batch), 0, true);
}

void intake_message(struct intake *in, const struct pgoutput_message *m, uint64_t lsn,
                    struct batch *batch)
{
    if (is_change(in)) {
        as_change(in, m, lsn, batch);
        return;
    }
    struct event *e = from_body(in, m->message.content, batch);
    e->created_at_us = in->txn->commit_us;
    e->bytes = 2 * m->message.content.len + EVENT_BYTES;
    batch->bytes += e->bytes;
    intake_place(in, batch, e, 0, true);
}
