/* Applies dead letters after all, and what waits behind them. A page of what waits is applied and
 * removed in one transaction, which has the letter locked. So a new event of the key waits behind
 * the page, or comes when the key is free (parking.c). A program runs outside of it, one event at a
 * time: it may run once more after a crash. */
#include "consume/apply/letters.h"

#include "base/fault.h"
#include "base/memory.h"
#include "consume/apply/internal.h"
#include "consume/apply/letter.h"
#include "value/pg_bytea.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { PAGE = 100, NUMBER_SIZE = 24 };

static int64_t number_of(struct slice s)
{
    return slice_is_null(s) ? 0 : strtoll(s.ptr, NULL, 10);
}

/* Runs a statement about a letter, with the consumer and its number before `third`. */
static int run_on(struct apply *a, enum inbox_sql which, int64_t id, const char *third,
                  size_t *ret_changed, struct error *err)
{
    char number[NUMBER_SIZE];
    snprintf(number, sizeof number, "%" PRId64, id);
    const struct inbox_value params[] = {inbox_text(a->conf->name), inbox_text(number),
                                         inbox_text(third)};
    return a->ops->run(a->inbox, which, params, third ? 3 : 2, NULL, NULL, ret_changed, err);
}

int apply_new_for_letters(const struct conf_consumer *conf, bool look_only,
                          struct apply_counts *counts, struct apply **ret, struct error *err)
{
    struct apply *a;
    if (apply_new(conf, counts, -1, &a, err)) {
        return RESULT_ERROR;
    }
    a->inbox_conf.look_only = true;
    if (look_only) {
        a->inbox_conf.into = a->inbox_conf.call = "";
    }
    *ret = a;
    return RESULT_DONE;
}

/* --- what is kept, as events again --- */

/* An event that was kept, and its number there. */
struct kept {
    struct apply *apply;
    int64_t id;
    struct record *record;
    char digest[DIGEST_HEX_SIZE], *stream;
};

static void kept_release(struct kept *k)
{
    record_free(k->record);
    free(k->stream);
    *k = (struct kept){.apply = k->apply};
}

/* The bytes of a column; a null slice stays null. */
static struct slice bytes_of(struct slice column, struct buf *out)
{
    if (slice_is_null(column) || column.len < 2) {
        return SLICE_NULL;
    }
    buf_reserve(out, column.len / 2);
    if (!pg_bytea_parse(column, out->data)) {
        return SLICE_NULL;
    }
    out->len = column.len / 2 - 1;
    return buf_slice(out);
}

struct kept_columns {
    struct slice id, event_id, stream, number, digest, key, event, edited;
};

static void keep(struct kept *k, const struct kept_columns *c)
{
    CLEANUP(buf_release) struct buf key = {0}, event = {0};
    const struct decode_conf conf = decode_conf_of(k->apply->conf);
    bool edited = !slice_is_null(c->edited);
    k->id = number_of(c->id);
    k->stream = memory_need(strndup(c->stream.ptr, c->stream.len));
    snprintf(k->digest, sizeof k->digest, "%.*s", SLICE_FMT(c->digest));
    const struct incoming in = {.stream = k->stream,
                                .number = number_of(c->number),
                                .id = c->event_id,
                                .key = edited ? SLICE_NULL : bytes_of(c->key, &key),
                                .line = edited ? c->edited : bytes_of(c->event, &event)};
    k->record = decode(&conf, &in);
    k->record->origin = k->stream;
    k->record->digest = slice_from(k->digest);
    k->record->position = SLICE_NULL; /* that it comes late is known */
}

/* --- letters --- */

enum column {
    ID,
    STATE,
    EVENT_ID,
    STREAM,
    NUMBER,
    KEY,
    REASON,
    EVENT,
    EDITED,
    CREATED,
    CLOSED,
    PARKED,
    WAITING,
    DIGEST,
    KEY_BYTES,
    EVENT_BYTES
};

static int read_letters(struct apply *a, const struct letters_pick *which, inbox_row *each,
                        void *ctx, struct error *err)
{
    char id[NUMBER_SIZE];
    snprintf(id, sizeof id, "%" PRId64, which->id);
    const struct inbox_value params[] = {inbox_text(a->conf->name),
                                         inbox_text(which->id ? id : NULL),
                                         inbox_text(which->all || which->id ? "1" : "0"),
                                         inbox_text(which->bare ? "1" : "0"),
                                         inbox_text(which->key),
                                         inbox_text(which->reason),
                                         inbox_text(which->since)};
    return a->ops->run(a->inbox, INBOX_LETTERS, params, sizeof params / sizeof *params, each, ctx,
                       NULL, err);
}

struct listing {
    kept_letter_each *each;
    void *ctx;
};

static void give(void *ctx, const struct slice *c)
{
    const struct listing *l = ctx;
    const struct kept_letter letter = {.id = number_of(c[ID]),
                                       .number = number_of(c[NUMBER]),
                                       .waiting = number_of(c[WAITING]),
                                       .state = c[STATE],
                                       .event_id = c[EVENT_ID],
                                       .stream = c[STREAM],
                                       .key = c[KEY],
                                       .reason = c[REASON],
                                       .event = c[EVENT],
                                       .edited = c[EDITED],
                                       .created = c[CREATED],
                                       .closed = c[CLOSED],
                                       .parks = !slice_is_null(c[PARKED])};
    l->each(l->ctx, &letter);
}

int kept_letters_list(struct apply *a, const struct letters_pick *which, kept_letter_each *each,
                      void *ctx, struct error *err)
{
    struct listing l = {each, ctx};
    return apply_connect(a, err) || read_letters(a, which, give, &l, err) ? RESULT_ERROR
                                                                          : RESULT_DONE;
}

/* What must be known of a letter to deal with it. */
struct letter_now {
    struct kept kept;
    bool open, parks;
    char parked[NUMBER_SIZE];
};

static void letter_now_release(struct letter_now *l)
{
    kept_release(&l->kept);
}

static void take_letter(void *ctx, const struct slice *c)
{
    struct letter_now *l = ctx;
    const struct kept_columns columns = {c[ID],     c[EVENT_ID],  c[STREAM],      c[NUMBER],
                                         c[DIGEST], c[KEY_BYTES], c[EVENT_BYTES], c[EDITED]};
    l->open = slice_equal_str(c[STATE], "dead");
    l->parks = !slice_is_null(c[PARKED]);
    snprintf(l->parked, sizeof l->parked, "%.*s", SLICE_FMT(c[PARKED]));
    keep(&l->kept, &columns);
}

static int read_letter(struct apply *a, int64_t id, struct letter_now *ret, struct error *err)
{
    const struct letters_pick which = {.id = id};
    ret->kept.apply = a;
    return read_letters(a, &which, take_letter, ret, err);
}

int kept_letter_edit(struct apply *a, int64_t id, const char *event, bool *ret_done,
                     struct error *err)
{
    size_t changed = 0;
    if (apply_connect(a, err) || run_on(a, INBOX_LETTER_EDIT, id, event, &changed, err)) {
        return RESULT_ERROR;
    }
    *ret_done = changed > 0;
    return RESULT_DONE;
}

int kept_letter_drop(struct apply *a, int64_t id, bool *ret_done, struct error *err)
{
    size_t changed = 0;
    if (apply_connect(a, err) || run_on(a, INBOX_LETTER_CLOSE, id, "dropped", &changed, err)) {
        return RESULT_ERROR;
    }
    *ret_done = changed > 0;
    return RESULT_DONE;
}

/* --- retry --- */

static int fault_of(const struct record *r, struct error *err)
{
    return r->fault[0] ? error_set(err, ERROR_POISON, "consume", "%s", r->fault) : RESULT_DONE;
}

static int close_retried(struct apply *a, int64_t id, bool *ret_done, struct error *err)
{
    size_t changed = 0;
    if (run_on(a, INBOX_LETTER_CLOSE, id, "retried", &changed, err)) {
        return RESULT_ERROR;
    }
    *ret_done = changed > 0;
    return RESULT_DONE;
}

static int retry_program(struct apply *a, int64_t id, bool *ret_done, struct error *err)
{
    CLEANUP(letter_now_release) struct letter_now l = {0};
    if (read_letter(a, id, &l, err)) {
        return RESULT_ERROR;
    }
    if (!l.open) {
        return RESULT_DONE;
    }
    return fault_of(l.kept.record, err) || apply_program(a, l.kept.record, err) ||
                   close_retried(a, id, ret_done, err)
               ? RESULT_ERROR
               : RESULT_DONE;
}

static int retry_inside(struct apply *a, int64_t id, bool *ret_done, struct error *err)
{
    CLEANUP(letter_now_release) struct letter_now l = {0};
    size_t fresh;
    if (a->ops->begin(a->inbox, err) || run_on(a, INBOX_LETTER_LOCK, id, NULL, NULL, err) ||
        read_letter(a, id, &l, err)) {
        return RESULT_ERROR;
    }
    if (!l.open) {
        return a->ops->commit(a->inbox, err);
    }
    if (fault_of(l.kept.record, err) || apply_effects(a, &l.kept.record, 1, &fresh, err) ||
        close_retried(a, id, ret_done, err)) {
        return RESULT_ERROR;
    }
    fault_point("letter_before_commit");
    return a->ops->commit(a->inbox, err);
}

int kept_letter_retry(struct apply *a, int64_t id, bool *ret_done, struct error *err)
{
    *ret_done = false;
    if (apply_connect(a, err)) {
        return RESULT_ERROR;
    }
    int rc = apply_runs_program(a) ? retry_program(a, id, ret_done, err)
                                   : retry_inside(a, id, ret_done, err);
    if (!rc) {
        return RESULT_DONE;
    }
    struct error ignored;
    a->ops->rollback(a->inbox);
    *ret_done = false;
    if (err->class == ERROR_POISON) { /* the reason is told anyway */
        (void)!run_on(a, INBOX_LETTER_FAILED, id, err->text, NULL, &ignored);
    }
    return RESULT_ERROR;
}

/* --- what waits --- */

struct page {
    struct kept items[PAGE];
    struct record *records[PAGE];
    size_t count;
    uint64_t parked;
    struct apply *apply;
};

static void page_release(struct page *p)
{
    for (size_t i = 0; i < p->count; i++) {
        kept_release(&p->items[i]);
    }
    p->count = 0;
}

static void take_waiting(void *ctx, const struct slice *c)
{
    struct page *p = ctx;
    struct kept *k = &p->items[p->count];
    const struct kept_columns columns = {c[0], c[1], c[2], c[3], c[4], c[5], c[6], SLICE_NULL};
    k->apply = p->apply;
    keep(k, &columns);
    k->record->order = p->parked;
    p->records[p->count++] = k->record;
}

/* Locks the letter and reads what waits first behind it. *ret_over: its key is free. A transaction
 * is open. */
static int begin_page(struct apply *a, int64_t id, size_t limit, struct page *ret, bool *ret_over,
                      struct error *err)
{
    CLEANUP(letter_now_release) struct letter_now l = {0};
    char most[NUMBER_SIZE];
    snprintf(most, sizeof most, "%zu", limit);
    ret->apply = a;
    if (a->ops->begin(a->inbox, err) || run_on(a, INBOX_LETTER_LOCK, id, NULL, NULL, err) ||
        read_letter(a, id, &l, err)) {
        return RESULT_ERROR;
    }
    *ret_over = l.open || !l.parks;
    if (*ret_over) {
        return RESULT_DONE;
    }
    const struct inbox_value params[] = {inbox_text(a->conf->name), inbox_text(l.parked),
                                         inbox_text(most)};
    ret->parked = (uint64_t)strtoll(l.parked, NULL, 10);
    if (a->ops->run(a->inbox, INBOX_WAITING_PAGE, params, 3, take_waiting, ret, NULL, err)) {
        return RESULT_ERROR;
    }
    *ret_over = ret->count == 0;
    return *ret_over ? run_on(a, INBOX_LETTER_FREE, id, NULL, NULL, err) : RESULT_DONE;
}

/* The page is dealt with. */
static int remove_page(struct apply *a, const struct page *p, struct error *err)
{
    char parked[NUMBER_SIZE], last[NUMBER_SIZE];
    snprintf(parked, sizeof parked, "%" PRId64, (int64_t)p->parked);
    snprintf(last, sizeof last, "%" PRId64, p->items[p->count - 1].id);
    const struct inbox_value params[] = {inbox_text(a->conf->name), inbox_text(parked),
                                         inbox_text(last)};
    return a->ops->run(a->inbox, INBOX_WAITING_GONE, params, 3, NULL, NULL, NULL, err);
}

static int apply_page(struct apply *a, const struct page *p, struct error *err)
{
    size_t fresh;
    for (size_t i = 0; i < p->count; i++) {
        if (fault_of(p->records[i], err)) {
            return RESULT_ERROR;
        }
    }
    if (!apply_runs_program(a)) {
        return apply_effects(a, p->records, p->count, &fresh, err);
    }
    return a->ops->commit(a->inbox, err) || apply_program(a, p->records[0], err) ||
                   a->ops->begin(a->inbox, err)
               ? RESULT_ERROR
               : RESULT_DONE;
}

/* One page. After an error nothing of it is applied, but for what a program did. */
static int release_page(struct apply *a, int64_t id, size_t limit, int64_t *applied, bool *ret_over,
                        struct error *err)
{
    CLEANUP(page_release) struct page page = {0};
    int rc = begin_page(a, id, limit, &page, ret_over, err);
    if (!rc && !*ret_over) {
        rc = apply_page(a, &page, err) || remove_page(a, &page, err) ? RESULT_ERROR : RESULT_DONE;
    }
    fault_point("waiting_before_commit");
    rc = rc ? rc : a->ops->commit(a->inbox, err);
    if (rc) {
        a->ops->rollback(a->inbox);
    } else {
        *applied += (int64_t)page.count;
    }
    return rc;
}

/* The first that waits becomes the next dead letter of its key. */
static int refuse_first(struct apply *a, int64_t id, const char *reason, struct error *err)
{
    CLEANUP(page_release) struct page page = {0};
    bool over;
    int rc = begin_page(a, id, 1, &page, &over, err);
    if (!rc && !over) {
        rc = a->ops->bury(a->inbox, page.records[0], reason, true, err) ||
                     remove_page(a, &page, err) || run_on(a, INBOX_LETTER_FREE, id, NULL, NULL, err)
                 ? RESULT_ERROR
                 : RESULT_DONE;
    }
    rc = rc ? rc : a->ops->commit(a->inbox, err);
    if (rc) {
        a->ops->rollback(a->inbox);
    }
    return rc;
}

int kept_letter_release(struct apply *a, int64_t id, int64_t *ret_applied, bool *ret_stopped,
                        struct error *err)
{
    size_t most = (size_t)a->conf->batch_size < PAGE ? (size_t)a->conf->batch_size : PAGE;
    size_t alone = apply_runs_program(a) ? SIZE_MAX : 0; /* so many more, one at a time */
    int64_t tries = 0;
    bool over = false;
    *ret_applied = 0;
    *ret_stopped = false;
    if (apply_connect(a, err)) {
        return RESULT_ERROR;
    }
    while (!over) {
        if (release_page(a, id, alone ? 1 : most, ret_applied, &over, err) == RESULT_DONE) {
            alone -= alone > 0 && alone < SIZE_MAX;
            tries = 0;
        } else if (err->class != ERROR_POISON) {
            return RESULT_ERROR;
        } else if (alone == 0) {
            alone = most;
        } else if (++tries >= a->conf->attempts) {
            const struct error why = *err;
            *ret_stopped = true;
            return refuse_first(a, id, why.text, err);
        }
    }
    return RESULT_DONE;
}
