/* Makes an event of a table change: the configured format gives payload, key and headers; type and
 * aggregatetype are the same for all formats. Afterwards a change is routed and sent like an outbox
 * event. */
#include "message/internal.h"

/* Bytes for a row of usual size, so that the buffer need not grow several times. */
enum { USUAL_ROW = 1000 };

/* The cells that identify the row. A deleted row has only `before`. */
static const struct cell *key_cells(const struct change *c)
{
    return c->after ? c->after : c->before;
}

static int set_key(const struct encode_conf *conf, struct event *e, struct buf *text,
                   struct arena *arena, struct error *err)
{
    const struct change *c = e->change;
    if (c->op != CHANGE_TRUNCATE && /* a TRUNCATE is about no row */
        conf->format->change_key(conf, c, key_cells(c), text, err) < 0) {
        return RESULT_ERROR;
    }
    e->key = text->len > 0 ? arena_copy(arena, buf_slice(text)) : SLICE_NULL;
    e->aggregateid = e->key;
    return RESULT_DONE;
}

/* A tombstone is a key with a null payload. */
static int set_payload(const struct encode_conf *conf, struct event *e, struct buf *text,
                       struct arena *arena, struct error *err)
{
    e->payload = SLICE_NULL;
    e->payload_kind = PAYLOAD_JSON;
    if (e->change->op == CHANGE_TOMBSTONE) {
        return RESULT_DONE;
    }
    buf_clear(text);
    buf_reserve(text, USUAL_ROW);
    if (conf->format->change_value(conf, e->change, text, err) < 0) {
        return RESULT_ERROR;
    }
    e->payload = text->len > 0 ? arena_copy(arena, buf_slice(text)) : SLICE_NULL;
    return RESULT_DONE;
}

static int set_headers(const struct encode_conf *conf, struct event *e, struct buf *text,
                       struct arena *arena, struct error *err)
{
    e->headers = SLICE_NULL;
    if (!conf->format->change_headers) {
        return RESULT_DONE;
    }
    buf_clear(text);
    if (conf->format->change_headers(conf, e->change, text, err) < 0) {
        return RESULT_ERROR;
    }
    if (text->len > 0) {
        e->headers = arena_copy(arena, buf_slice(text));
    }
    return RESULT_DONE;
}

/* type is one letter of `ops`; a tombstone has that of its delete. aggregatetype is the table, or
 * the prefix of what has no table, such as a logical message. */
static void set_names(struct event *e, struct buf *text, struct arena *arena)
{
    static const char ops[] = "rcudtmBEH";
    const struct change *c = e->change;
    const char *op = strchr(ops, c->op == CHANGE_TOMBSTONE ? CHANGE_DELETE : (char)c->op);
    e->type = (struct slice){op ? op : "", op != NULL};
    if (!c->table) {
        e->aggregatetype = arena_copy(arena, c->prefix);
        return;
    }
    buf_clear(text);
    buf_printf(text, "%.*s.%.*s", SLICE_FMT(c->table->schema), SLICE_FMT(c->table->name));
    e->aggregatetype = arena_copy(arena, buf_slice(text));
    buf_clear(text);
}

int encode_change(const struct encode_conf *conf, struct event *e, struct arena *arena,
                  struct error *err)
{
    CLEANUP(buf_release) struct buf text = {0};
    e->of_change = true;
    /* First, so that the dead letter of a change that cannot be encoded shows them. */
    set_names(e, &text, arena);
    if (set_key(conf, e, &text, arena, err) < 0 || set_payload(conf, e, &text, arena, err) < 0 ||
        set_headers(conf, e, &text, arena, err) < 0) {
        return RESULT_ERROR;
    }
    return RESULT_DONE;
}
