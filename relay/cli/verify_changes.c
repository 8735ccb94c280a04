/* Every row goes the way of the relay, as one of the initial snapshot does: masked, routed and
 * encoded. So what the tables have and what was sent are read by the same code. */
#include "cli/verify_changes.h"

#include "cli/kit/interrupt.h"
#include "cli/kit/source_open.h"
#include "cli/replay_source.h"
#include "cli/verify_change.h"
#include "config/conf_ask.h"
#include "daemon/registry.h"
#include "pipeline/formats.h"
#include <inttypes.h>
#include <string.h>

enum { READ_EVENTS = 1000, READ_BYTES = 4 * 1024 * 1024 };

static const struct source_range everything = SOURCE_RANGE_ALL;

struct comparing {
    const struct verify_changes *v;
    struct verify_counts *counts;
    struct encode_conf encode;
    struct cli_source source;
    struct batch *batch;
    struct verify_change change;     /* the one at hand */
    struct buf text;                 /* a row's name */
    struct verify_topics sent, read; /* to which rows lead; that were read */
    struct verify_seen seen;
    bool others; /* the pipeline sends other events than changes, too */
    struct cli_progress progress;
    int64_t progressed;
};

static void release(struct comparing *c)
{
    cli_source_release(&c->source);
    batch_free(c->batch);
    verify_change_release(&c->change);
    buf_release(&c->text);
    verify_topics_release(&c->sent);
    verify_topics_release(&c->read);
    verify_seen_release(&c->seen);
}

/* --- what can be compared --- */

static bool skips(const struct encode_conf *e, const char *op)
{
    for (size_t i = 0; i < e->skipped_operations_count; i++) {
        if (strcmp(e->skipped_operations[i], op) == 0) {
            return true;
        }
    }
    return false;
}

int verify_changes_check(const struct conf_pipeline *p, struct error *err)
{
    const struct encode_conf e = formats_encode(p);
    const char *why =
        !registry_source(p->source->name)->when ? "its source cannot read its tables again"
        : conf_ask_given(p->source->keys, p->source_conf, "snapshot_where")
            ? "source.snapshot_where leaves rows out that are in the table"
        : e.value != VALUE_JSON
            ? "encode.value is not json, and schemas are not read in this version"
        : e.unwrap.on        ? "encode.unwrap leaves out which table a row is of"
        : p->route.key_given ? "route.key takes the place of the row's key"
        : p->route.topic_rewrite.key_field[0]
            ? "route.topic_rewrite.key_field makes the message's key another one than the row's"
        : skips(&e, "c") || skips(&e, "u") || skips(&e, "d")
            ? "encode.skipped_operations leaves out c, u or d, so the last event of a row need not "
              "be what the table has"
            : NULL;
    return why ? error_set(err, ERROR_CONFIG, "verify",
                           "the rows of pipeline %s cannot be compared with their events: %s",
                           p->name, why)
               : RESULT_DONE;
}

/* --- rows --- */

static int add_row(struct comparing *c, struct slice row, struct slice columns, struct error *err)
{
    const struct verify_item item = {.id = row,
                                     .side = VERIFY_ROW,
                                     .digest = columns,
                                     .created_us = TIME_NONE,
                                     .when = SLICE_NULL};
    return verify_sort_add(c->v->sort, &item, NULL, err);
}

/* The first row of a table shows what its columns look like when they were not sent. */
static void learn_table(struct comparing *c, const struct change *change)
{
    struct verify_seen_table *t = verify_seen_table(&c->seen, buf_slice(&c->change.table));
    if (!t->learnt) {
        verify_change_blanks(&c->encode, change, &t->blanks);
        t->learnt = true;
    }
}

/* No message can be made of the row, so there is nothing to compare it with. */
static int add_poison(struct comparing *c, const struct event *e, struct error *err)
{
    buf_clear(&c->text);
    if (slice_is_null(e->key)) {
        c->counts->rows++;
        return RESULT_DONE;
    }
    buf_printf(&c->text, "%.*s\n%.*s", SLICE_FMT(e->aggregatetype), SLICE_FMT(e->key));
    return add_row(c, buf_slice(&c->text), SLICE_NULL, err);
}

static int take_row(struct comparing *c, struct event *e, struct error *err)
{
    const struct change *change = e->change;
    struct error ignored;
    if (change && change->table->key_count == 0) {
        return error_set(
            err, ERROR_CONFIG, "verify",
            "table %.*s.%.*s has no primary key, so nothing tells which of its rows an event is "
            "about: give it one, name its key in encode.key_columns, or leave the table out of "
            "source.tables",
            SLICE_FMT(change->table->schema), SLICE_FMT(change->table->name));
    }
    if (e->poison || cli_source_prepare(&c->source, c->batch, e, &ignored)) {
        return add_poison(c, e, err);
    }
    if (!verify_change_read(&c->encode, e->key, e->payload, &c->change) || c->change.row.len == 0) {
        return error_set(err, ERROR_FATAL, "verify",
                         "a row that was encoded as %s could not be read again; please report this",
                         format_name(c->encode.format));
    }
    if (e->topic.len > 0 && !verify_topics_have(&c->sent, e->topic)) {
        verify_topics_add(&c->sent, e->topic);
    }
    learn_table(c, e->change);
    return add_row(c, buf_slice(&c->change.row), buf_slice(&c->change.columns), err);
}

static int read_rows(struct comparing *c, struct error *err)
{
    struct cli_source *s = &c->source;
    for (bool idle = false; !idle;) {
        batch_reset(c->batch);
        int rc = cli_source_read(s, c->batch, READ_EVENTS, READ_BYTES, DEADLINE_NEVER, err);
        if (rc == RESULT_AGAIN || interrupted(c->v->stop_fd)) {
            return error_set(err, ERROR_RETRY, "verify", "it was interrupted");
        }
        if (rc || (s->ops->tend && s->ops->tend(s->source, err)) ||
            (c->batch->count == 0 && s->ops->idle(s->source, &idle, err))) {
            return RESULT_ERROR;
        }
        for (size_t i = 0; i < c->batch->count; i++) {
            if (take_row(c, &c->batch->events[i], err)) {
                return RESULT_ERROR;
            }
        }
        c->progressed += (int64_t)c->batch->count;
        cli_progress(&c->progress, "verify: %" PRId64 " rows", c->progressed);
    }
    return RESULT_DONE;
}

/* The connections are closed before the wait: they would keep WAL and old row versions. */
static int read_tables(struct comparing *c, struct error *err)
{
    CLEANUP(buf_release) struct buf unused = {0};
    const struct verify_changes *v = c->v;
    struct cli_source *s = &c->source;
    bool never_ran;
    char when[SOURCE_WHEN_SIZE];
    if (cli_source_open_range(s, v->p, &everything, 0, v->stop_fd, err)) {
        return RESULT_ERROR;
    }
    s->env.shape.skip[CHANGE_READ] = false; /* whether the pipeline sends such rows or not */
    if (s->ops->start(s->source, SLICE_NULL, 0, err) || read_rows(c, err)) {
        return RESULT_ERROR;
    }
    cli_progress_end(&c->progress);
    c->others = s->ops->when(s->source, SLICE_LITERAL(""), when) == SOURCE_NO_CHANGE;
    s->ops->stop(s->source);
    return replay_source_wait(s, v->store, "verify", v->stop_fd, &unused, &never_ran, err);
}

/* --- dead letters --- */

struct letters {
    struct comparing *c;
    struct error *err;
};

/* One that was sent again as it was is an event like any other. What waits behind one has its key.
 */
static int take_letter(void *ctx, const struct store_dead_letter *d)
{
    const struct letters *l = ctx;
    struct comparing *c = l->c;
    bool sent = strcmp(d->state, STORE_LETTER_RETRIED) == 0 && d->edits == 0;
    if (sent || slice_is_null(d->key)) {
        return RESULT_DONE;
    }
    buf_clear(&c->text);
    buf_printf(&c->text, "%.*s\n%.*s", SLICE_FMT(d->aggregatetype), SLICE_FMT(d->key));
    const struct verify_item item = {
        .id = buf_slice(&c->text), .side = VERIFY_LETTER, .created_us = TIME_NONE};
    return verify_sort_add(c->v->sort, &item, NULL, l->err);
}

static int read_letters(struct comparing *c, struct error *err)
{
    struct letters l = {c, err};
    const struct store_letter_pick all = {.bare = true};
    return c->v->store->ops->dead_letter_list(c->v->store->store, all, take_letter, &l, err);
}

/* --- the destination --- */

static bool wants(void *ctx, struct slice topic)
{
    struct comparing *c = ctx;
    const char *letters = c->v->p->delivery.dead_letter_topic;
    bool ours = route_may_give(c->v->route, topic) && !(letters && slice_equal_str(topic, letters));
    if (ours) {
        verify_topics_add(&c->read, topic);
    }
    return ours;
}

static void note(void *ctx, const char *text)
{
    const struct comparing *c = ctx;
    c->v->note(c->v->ctx, text);
}

static int add_event(struct comparing *c, const struct sink_copy *copy, struct slice row,
                     enum verify_op op, const char *when, struct error *err)
{
    const struct verify_item item = {.id = row.len ? row : SLICE_NULL,
                                     .side = VERIFY_COPY,
                                     .digest = op == VERIFY_UPSERT ? buf_slice(&c->change.columns)
                                                                   : SLICE_NULL,
                                     .op = (int)op,
                                     .when = when ? slice_from(when) : SLICE_NULL,
                                     .created_us = TIME_NONE,
                                     .replayed = copy->replayed,
                                     .number = (int64_t)copy->number};
    return verify_sort_add(c->v->sort, &item, copy->place, err);
}

/* A table is emptied at once, so no event of its rows says it. */
static void note_truncate(struct comparing *c, const char when[SOURCE_WHEN_SIZE])
{
    struct verify_seen_table *t = verify_seen_table(&c->seen, buf_slice(&c->change.table));
    if (strcmp(when, t->truncated) > 0) {
        memcpy(t->truncated, when, SOURCE_WHEN_SIZE);
    }
}

static int take_change(struct comparing *c, const struct sink_copy *copy, const char *when,
                       struct error *err)
{
    const struct verify_change *change = &c->change;
    if (change->op == VERIFY_NOTHING) {
        return RESULT_DONE;
    }
    if (change->op == VERIFY_TRUNCATE) {
        note_truncate(c, when);
        return RESULT_DONE;
    }
    if (change->row.len == 0) {
        c->counts->not_comparable++;
        return RESULT_DONE;
    }
    if (add_event(c, copy, buf_slice(&change->row), change->op, when, err)) {
        return RESULT_ERROR;
    }
    return change->old_row.len == 0
               ? RESULT_DONE
               : add_event(c, copy, buf_slice(&change->old_row), VERIFY_DELETE, when, err);
}

static int take_copy(void *ctx, const struct sink_copy *copy, struct error *err)
{
    struct comparing *c = ctx;
    const struct verify_sink *sink = &c->v->target->sink;
    char when[SOURCE_WHEN_SIZE] = "";
    struct slice payload = sink->ops->caps & SINK_MESSAGES
                               ? encode_payload_in(c->encode.format, copy->sent)
                               : copy->sent;
    cli_progress(&c->progress, "verify: %" PRId64 " events found", ++c->counts->copies);
    enum source_when happened = slice_is_null(copy->id)
                                    ? SOURCE_NOT_OURS
                                    : c->source.ops->when(c->source.source, copy->id, when);
    if (happened == SOURCE_AFTER) {
        c->counts->outside++;
        return RESULT_DONE;
    }
    if (happened == SOURCE_NOT_OURS || happened == SOURCE_NO_CHANGE ||
        !verify_change_read(&c->encode, copy->key, payload, &c->change)) {
        if (c->others) {
            c->counts->not_comparable++;
            return RESULT_DONE;
        }
        return add_event(c, copy, copy->id, VERIFY_NOTHING, NULL, err);
    }
    return take_change(c, copy, when, err);
}

/* A topic to which rows lead, and which was not among those that could be read, is gone, or hidden
 * from us: all its rows would be called missing. */
static int check_topics(const struct comparing *c, struct error *err)
{
    const struct verify_sink *sink = &c->v->target->sink;
    for (size_t i = 0; sink->ops->caps & SINK_MESSAGES && i < c->sent.count; i++) {
        const char *topic = c->sent.names[i];
        if (verify_topics_have(&c->read, slice_from(topic))) {
            continue;
        }
        return sink->ops->find_topic(sink->sink, topic, err)
                   ? RESULT_ERROR
                   : error_set(err, ERROR_RETRY, "verify",
                               "topic %s was made while the others were read; run verify again",
                               topic);
    }
    return RESULT_DONE;
}

static int read_destination(struct comparing *c, struct error *err)
{
    const struct verify_target *t = c->v->target;
    const struct sink_reading reading = {.at = t->folder,
                                         .from_us = INT64_MIN,
                                         .whole = true,
                                         .wants = wants,
                                         .take = take_copy,
                                         .note = note,
                                         .ctx = c};
    c->progress.next_us = clock_mono_us() + US_PER_SECOND;
    int rc = t->sink.ops->read_back(t->sink.sink, &reading, err);
    cli_progress_end(&c->progress);
    return rc ? rc : check_topics(c, err);
}

int verify_changes(const struct verify_changes *v, struct verify_counts *ret, struct error *err)
{
    CLEANUP(release)
    struct comparing c = {.v = v,
                          .counts = ret,
                          .encode = formats_encode(v->p),
                          .batch = batch_new(),
                          .progress.next_us = clock_mono_us() + US_PER_SECOND};
    if (read_tables(&c, err)) {
        return error_prefix(err, "the rows cannot be compared");
    }
    if (read_letters(&c, err) || read_destination(&c, err)) {
        return RESULT_ERROR;
    }
    const struct verify_last last = {
        .sort = v->sort, .seen = &c.seen, .tell = v->tell, .ctx = v->ctx, .stop_fd = v->stop_fd};
    return verify_last(&last, ret, err);
}
