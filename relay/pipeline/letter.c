/* Makes what the store keeps of an event, and the event again. */
#include "pipeline/letter.h"

#include "model/field.h"
#include "pipeline/internal.h"

static struct slice code_of(const struct event *e)
{
    return e->partial     ? SLICE_LITERAL(SOURCE_ROW_KEPT)
           : e->unencoded ? SLICE_LITERAL(STORE_LETTER_UNENCODED)
           : e->poison    ? SLICE_LITERAL("poison")
                          : SLICE_NULL;
}

struct store_dead_letter letter_of(const struct event *e, char created[CLOCK_RFC3339_SIZE])
{
    static const char *const payload_kinds[] = {"json", "text", "bytes"};
    return (struct store_dead_letter){.event_id = e->id,
                                      .position = e->position,
                                      .topic = e->topic,
                                      .key = e->key,
                                      .payload = e->payload,
                                      .headers = e->headers,
                                      .aggregatetype = e->aggregatetype,
                                      .aggregateid = e->aggregateid,
                                      .type = e->type,
                                      .created_at = event_created_at(e, created),
                                      .payload_kind = slice_from(payload_kinds[e->payload_kind]),
                                      .reason = slice_from(e->poison),
                                      .code = code_of(e),
                                      .partition = e->partition,
                                      .first_failed_us = TIME_NONE,
                                      .last_failed_us = TIME_NONE,
                                      .state = STORE_LETTER_OPEN};
}

static enum payload_kind kind_of(struct slice name)
{
    return slice_equal_str(name, "json")    ? PAYLOAD_JSON
           : slice_equal_str(name, "bytes") ? PAYLOAD_BYTES
                                            : PAYLOAD_TEXT;
}

/* A change's type is the letter of its operation; formats of changes need to know. */
static bool is_change(const struct pipeline *p, const struct store_dead_letter *d)
{
    return p->parts.changes && d->type.len == 1;
}

struct event *letter_event(const struct pipeline *p, struct batch *b,
                           const struct store_dead_letter *stored)
{
    struct store_dead_letter d = store_letter_as_edited(stored);
    struct arena *a = &b->arena;
    struct event *e = batch_add(b);
    e->id = arena_copy(a, d.event_id);
    e->position = arena_copy(a, d.position);
    e->type = arena_copy(a, d.type);
    e->aggregatetype = arena_copy(a, d.aggregatetype);
    e->aggregateid = arena_copy(a, d.aggregateid);
    e->created_at = arena_copy(a, d.created_at);
    e->topic = arena_copy(a, d.topic);
    e->key = arena_copy(a, d.key);
    e->headers = arena_copy(a, d.headers);
    e->payload = arena_copy(a, d.payload);
    e->payload_kind = kind_of(d.payload_kind);
    e->of_change = is_change(p, &d);
    e->partition = d.edit.fields & STORE_LETTER_TOPIC ? -1 : d.partition;
    if (!slice_is_null(d.created_at)) {
        (void)clock_parse_timestamp(d.created_at, &e->created_at_us);
    }
    return e;
}

bool letter_holds_event(const struct store_dead_letter *d)
{
    bool without = slice_equal_str(d->code, SOURCE_ROW_KEPT) ||
                   slice_equal_str(d->code, STORE_LETTER_UNENCODED);
    return !without || (d->edit.fields & STORE_LETTER_PAYLOAD);
}

struct telling {
    struct pipeline *p;
    bool delivered;
    struct error *err;
};

static int tell(void *ctx, const struct store_dead_letter *d)
{
    const struct telling *to = ctx;
    struct pipeline *p = to->p;
    return store_letter_is_open(d)
               ? p->parts.source->note_closed(p->source, d->position, to->delivered, to->err)
               : RESULT_DONE;
}

int letter_tell_source(struct pipeline *p, int64_t id, bool delivered, struct error *err)
{
    struct telling to = {p, delivered, err};
    struct store_letter_pick which = store_letter_number(id);
    which.bare = true;
    return p->parts.source->note_closed && p->progress.marks_rows
               ? p->parts.store->dead_letter_list(p->store, which, tell, &to, err)
               : RESULT_DONE;
}

int letter_count(struct pipeline *p, struct error *err)
{
    int64_t count = 0;
    if (p->parts.store->dead_letter_count(p->store, &count, err)) {
        return RESULT_ERROR;
    }
    metrics_set(&p->parts.metrics->dead_letters, count);
    return RESULT_DONE;
}
