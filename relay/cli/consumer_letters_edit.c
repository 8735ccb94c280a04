/* `dead-letters edit --consumer`: the event is one line of JSON, in which key, headers and payload
 * get new values. All else stays byte for byte, so that no number changes. */
#include "cli/consumer_letters.h"
#include "message/encode.h"
#include "value/json.h"
#include <inttypes.h>

struct editing {
    struct arena arena;
    struct buf line; /* as it was */
    bool found, open;
};

static void release(struct editing *e)
{
    arena_release(&e->arena);
    buf_release(&e->line);
}

static void take(void *ctx, const struct kept_letter *l)
{
    struct editing *e = ctx;
    e->found = true;
    e->open = consumer_letter_is_open(l);
    buf_add_slice(&e->line, slice_is_null(l->edited) ? l->event : l->edited);
}

static struct slice text_of(const struct json_member *m, struct arena *arena)
{
    size_t len = m->value.len;
    char *text = arena_bytes(arena, len + 1);
    memcpy(text, m->value.ptr, len);
    bool plain =
        m->type == JSON_IS_STRING && (!m->value_escaped || json_unescape(m->value, text, &len));
    return plain ? (struct slice){text, len} : SLICE_NULL;
}

/* False: the event is no JSON object, and there is nothing that could be changed in it. */
static bool read_values(struct slice line, struct letter_values *ret, struct arena *arena)
{
    struct json_members walk = json_members(line);
    struct json_member m;
    enum json_step step;
    *ret = (struct letter_values){.json = true};
    while ((step = json_members_next(&walk, &m)) == JSON_MEMBER) {
        if (slice_equal_str(m.name, "topic")) {
            ret->topic = text_of(&m, arena);
        } else if (slice_equal_str(m.name, "key")) {
            ret->key = text_of(&m, arena);
        } else if (slice_equal_str(m.name, "headers") && m.type == JSON_IS_OBJECT) {
            ret->headers = json_member_text(&m);
        } else if (slice_equal_str(m.name, "payload")) {
            ret->payload = json_member_text(&m);
        }
    }
    return step == JSON_END;
}

/* Line ends in JSON stand between tokens, never inside a string. */
static void add_member(struct buf *out, struct slice name, struct slice json)
{
    buf_printf(out, "%c\"%.*s\":", out->len ? ',' : '{', SLICE_FMT(name));
    size_t start = out->len;
    buf_add_slice(out, json);
    for (size_t i = start; i < out->len; i++) {
        out->data[i] = out->data[i] == '\n' || out->data[i] == '\r' ? ' ' : out->data[i];
    }
}

/* Is it one of those that are written anew? Bytes as payload stay unless there is a new one. */
static bool is_replaced(struct slice name, const struct letter_values *now)
{
    return slice_equal_str(name, "key") || slice_equal_str(name, "headers") ||
           slice_equal_str(name, "payload") ||
           (slice_equal_str(name, "payload_base64") && !slice_is_null(now->payload));
}

static void add_line(struct buf *out, struct slice line, const struct letter_values *now)
{
    CLEANUP(buf_release) struct buf key = {0};
    struct json_members walk = json_members(line);
    struct json_member m;
    bool base64 = false;
    while (json_members_next(&walk, &m) == JSON_MEMBER) {
        base64 = base64 || slice_equal_str(m.name, "payload_base64");
        if (!is_replaced(m.name, now)) {
            add_member(out, m.name, json_member_text(&m));
        }
    }
    if (slice_is_null(now->key)) {
        buf_add_str(&key, "null");
    } else {
        (void)encode_json_string(&key, now->key);
    }
    add_member(out, SLICE_LITERAL("key"), buf_slice(&key));
    add_member(out, SLICE_LITERAL("headers"),
               slice_is_null(now->headers) ? SLICE_LITERAL("{}") : now->headers);
    if (!slice_is_null(now->payload) || !base64) {
        add_member(out, SLICE_LITERAL("payload"),
                   slice_is_null(now->payload) ? SLICE_LITERAL("null") : now->payload);
    }
    buf_add_char(out, '}');
}

static int store(struct consumer_letters *w, int64_t id, const char *line)
{
    CLEANUP(buf_release) struct buf facts = {0};
    struct error err = {0};
    bool done = false;
    if (kept_letter_edit(w->apply, id, line, &done, &err)) {
        return cli_fail(&err);
    }
    if (!done) {
        return cli_error(
            EXIT_CODE_GAVE_UP,
            "dead letter %" PRId64 " was retried or dropped meanwhile; nothing was changed", id);
    }
    audit_letter(&facts, id, STORE_LETTER_OPEN);
    cli_audit_write(&w->audit, "dead_letter_edit", w->conf->name, NULL, &facts);
    buf_printf(&w->out, "dead letter %" PRId64 ": a retry will apply it as it is now\n", id);
    return cli_audit_end(&w->audit, cli_show(buf_slice(&w->out)));
}

static int change(struct consumer_letters *w, int64_t id, struct editing *e)
{
    CLEANUP(buf_release) struct buf line = {0};
    struct letter_values before, now;
    struct error err = {0};
    if (!read_values(buf_slice(&e->line), &before, &e->arena)) {
        return cli_error(EXIT_CODE_USAGE,
                         "the event of dead letter %" PRId64
                         " is no JSON object, so nothing in it can be edited: drop it, and send "
                         "a mended event from its source",
                         id);
    }
    now = before;
    if (cli_audit_open(&w->audit, w->c->config, &err) ||
        letters_new_values(w->c, id, &now, &e->arena, &err)) {
        return cli_fail(&err);
    }
    if (letter_values_same(&before, &now)) {
        buf_printf(&w->out, "dead letter %" PRId64 ": nothing was changed\n", id);
        return cli_show(buf_slice(&w->out));
    }
    add_line(&line, buf_slice(&e->line), &now);
    return store(w, id, buf_str(&line));
}

int consumer_letters_edit(struct consumer_letters *w)
{
    CLEANUP(release) struct editing e = {0};
    const struct letters_pick which = {.id = w->c->ids[0]};
    struct error err = {0};
    arena_init(&e.arena);
    if (kept_letters_list(w->apply, &which, take, &e, &err)) {
        return cli_fail(&err);
    }
    if (!e.found || !e.open) {
        return cli_error(EXIT_CODE_USAGE, "consumer %s has no open dead letter %" PRId64,
                         w->conf->name, which.id);
    }
    return change(w, which.id, &e);
}
