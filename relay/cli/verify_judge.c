/*
 * The items of one id come together: first the row, then the dead letters, then the copies. A copy
 * without a row in the range is looked up in the whole table, many at once: nearly always they are
 * all there, because the event was delivered while the comparison ran, or lies outside the range.
 */
#include "cli/verify_judge.h"

#include "base/arena.h"
#include "base/clock.h"
#include "cli/kit/interrupt.h"
#include <inttypes.h>
#include <string.h>

enum { ASK_MAX = 256, PLACES_MAX = 3, LOOK_EVERY = 10000 };

const char *const verify_words[VERIFY_KINDS] = {"missing", "extra", "duplicated", "different"};

/* A copy whose event is not in the range. */
struct stranger {
    const char *id, *where; /* in the arena */
    int64_t created_us;
    bool late;
    int64_t copies;
};

/* A row of the id at hand. A table whose ids are not unique (partitioned by day) may have several,
 * each of which was sent. */
struct row {
    char digest[VERIFY_DIGEST + 1]; /* "": not known */
    int64_t position;
    bool has_copy;
};

struct walk {
    const struct verify_judge *judge;
    struct verify_counts *counts;
    struct verify_removed removed;

    /* Of the id at hand. */
    bool open, letter, edited, late;
    struct buf rows;             /* of struct row; nearly always one */
    struct buf id, where, wrong; /* wrong: the copies with another payload */
    int64_t copies, replayed, wrong_copies, created_us;

    struct stranger strangers[ASK_MAX];
    size_t count, items;
    struct arena arena; /* of the strangers */
};

static void release(struct walk *w)
{
    buf_release(&w->rows);
    buf_release(&w->id);
    buf_release(&w->where);
    buf_release(&w->wrong);
    arena_release(&w->arena);
}

static int tell(struct walk *w, enum verify_what what, struct slice id, int64_t position,
                const char *where, struct error *err)
{
    const struct verify_difference d = {what, id, position, where};
    w->counts->differences[what]++;
    return w->judge->tell(w->judge->ctx, &d, err);
}

/* --- copies without a row in the range --- */

static bool is_outside(const struct walk *w, int64_t created_us, bool late)
{
    const struct source_range *r = w->judge->range;
    return created_us != TIME_NONE && (created_us < r->from_us || (!late && created_us > r->to_us));
}

/* late: it was created by this time, and nobody knows when. */
static bool is_comparable(const struct walk *w, int64_t created_us, bool late)
{
    const struct verify_removed *r = &w->removed;
    bool known = created_us != TIME_NONE && !late;
    return r->before_us != INT64_MAX && (known || !r->pruned) &&
           (created_us == TIME_NONE || created_us >= r->before_us);
}

static int sort_out(struct walk *w, const struct stranger *s, bool there, struct error *err)
{
    if (there) {
        w->counts->outside += s->copies;
        return RESULT_DONE;
    }
    if (!is_comparable(w, s->created_us, s->late)) {
        w->counts->not_comparable += s->copies;
        return RESULT_DONE;
    }
    return tell(w, VERIFY_EXTRA, slice_from(s->id), INT64_MIN, s->where, err);
}

/* Those that are not there may have been removed meanwhile, so it is asked afterwards what was. */
static int ask(struct walk *w, struct error *err)
{
    const struct verify_judge *j = w->judge;
    const char *ids[ASK_MAX];
    bool there[ASK_MAX] = {false}, all = true;
    for (size_t i = 0; i < w->count; i++) {
        ids[i] = w->strangers[i].id;
    }
    if (j->find(j->ctx, ids, w->count, there, err)) {
        return RESULT_ERROR;
    }
    for (size_t i = 0; i < w->count; i++) {
        all = all && there[i];
    }
    if (!all && j->removed(j->ctx, &w->removed, err)) {
        return RESULT_ERROR;
    }
    for (size_t i = 0; i < w->count; i++) {
        if (sort_out(w, &w->strangers[i], there[i], err)) {
            return RESULT_ERROR;
        }
    }
    return RESULT_DONE;
}

static int ask_all(struct walk *w, struct error *err)
{
    int rc = w->count ? ask(w, err) : RESULT_DONE;
    w->count = 0;
    arena_reset(&w->arena);
    return rc;
}

static int add_stranger(struct walk *w, struct error *err)
{
    int64_t copies = w->copies + w->replayed;
    if (is_outside(w, w->created_us, w->late)) {
        w->counts->outside += copies;
        return RESULT_DONE;
    }
    if (memchr(w->id.data, '\0', w->id.len)) { /* no text of a database has this */
        return tell(w, VERIFY_EXTRA, buf_slice(&w->id), INT64_MIN, buf_str(&w->where), err);
    }
    w->strangers[w->count++] = (struct stranger){arena_copy(&w->arena, buf_slice(&w->id)).ptr,
                                                 arena_copy(&w->arena, buf_slice(&w->where)).ptr,
                                                 w->created_us, w->late, copies};
    return w->count == ASK_MAX ? ask_all(w, err) : RESULT_DONE;
}

/* --- the items of one id --- */

static size_t row_count(const struct walk *w)
{
    return w->rows.len / sizeof(struct row);
}

static struct row row_at(const struct walk *w, size_t i)
{
    struct row r;
    memcpy(&r, w->rows.data + i * sizeof r, sizeof r);
    return r;
}

/* `lacking` of the rows have no copy: those of whose payload none is there, the first ones first.
 */
static int tell_missing(struct walk *w, int64_t lacking, struct error *err)
{
    struct slice id = buf_slice(&w->id);
    for (size_t i = 0; i < row_count(w) && lacking > 0; i++) {
        struct row r = row_at(w, i);
        if (r.has_copy) {
            continue;
        }
        lacking--;
        if (tell(w, VERIFY_MISSING, id, r.position, "", err) ||
            verify_sort_miss(w->judge->sort, id, r.position, err)) {
            return RESULT_ERROR;
        }
    }
    return RESULT_DONE;
}

static int judge_rows(struct walk *w, struct error *err)
{
    struct slice id = buf_slice(&w->id);
    int64_t rows = (int64_t)row_count(w), position = row_at(w, 0).position;
    int64_t open = rows > w->copies ? rows - w->copies : 0; /* for copies of a replay */
    int64_t lacking = open > w->replayed ? open - w->replayed : 0;
    w->counts->replayed += w->replayed - (open - lacking);
    if (w->letter) {
        w->counts->letters += lacking;
        lacking = 0;
    }
    int rc = tell_missing(w, lacking, err);
    if (rc == RESULT_DONE && w->copies > rows) {
        rc = tell(w, VERIFY_DUPLICATED, id, position, buf_str(&w->where), err);
    }
    if (rc == RESULT_DONE && w->wrong_copies > 0) {
        rc = tell(w, VERIFY_DIFFERENT, id, position, buf_str(&w->wrong), err);
    }
    return rc;
}

static int end_id(struct walk *w, struct error *err)
{
    int rc = RESULT_DONE;
    if (w->open && row_count(w) > 0) {
        rc = judge_rows(w, err);
    } else if (w->open && w->letter) {
        w->counts->outside += w->copies + w->replayed;
    } else if (w->open) {
        rc = add_stranger(w, err);
    }
    w->open = false;
    return rc;
}

static void begin_id(struct walk *w, struct slice id)
{
    buf_clear(&w->rows);
    buf_clear(&w->id);
    buf_clear(&w->where);
    buf_clear(&w->wrong);
    buf_add_slice(&w->id, id);
    w->open = true;
    w->letter = w->edited = w->late = false;
    w->copies = w->replayed = w->wrong_copies = 0;
    w->created_us = TIME_NONE;
}

static void add_row(struct walk *w, const struct verify_item *item)
{
    struct row r = {.position = item->number};
    if (item->digest.len == VERIFY_DIGEST) {
        memcpy(r.digest, item->digest.ptr, VERIFY_DIGEST);
    }
    buf_add(&w->rows, &r, sizeof r);
}

/* False: it is the copy of none of the rows. Each row gets one copy before another gets two. */
static bool find_row(struct walk *w, struct slice digest)
{
    bool any = row_count(w) == 0;
    for (size_t i = 0; i < row_count(w); i++) {
        struct row r = row_at(w, i);
        bool fits =
            w->edited || !r.digest[0] || slice_is_null(digest) || slice_equal_str(digest, r.digest);
        any = any || fits;
        if (fits && !r.has_copy) {
            r.has_copy = true;
            memcpy(w->rows.data + i * sizeof r, &r, sizeof r);
            return true;
        }
    }
    return any;
}

/* The first few places are named. */
static int add_place(struct walk *w, const struct verify_item *item, int64_t before,
                     struct buf *out, struct error *err)
{
    if (before > PLACES_MAX) {
        return RESULT_DONE;
    }
    if (before == PLACES_MAX) {
        buf_add_str(out, ", ...");
        return RESULT_DONE;
    }
    buf_add_str(out, before ? ", " : "");
    if (verify_sort_place(w->judge->sort, item->place, out, err)) {
        return RESULT_ERROR;
    }
    if (item->number >= 0) {
        buf_printf(out, " %" PRId64, item->number);
    }
    return RESULT_DONE;
}

static int take_copy(struct walk *w, const struct verify_item *item, struct error *err)
{
    bool wrong = !find_row(w, item->digest);
    w->counts->copies++;
    if (w->copies + w->replayed == 0) {
        w->created_us = item->created_us;
        w->late = item->late;
    }
    if (add_place(w, item, w->copies + w->replayed, &w->where, err) ||
        (wrong && add_place(w, item, w->wrong_copies, &w->wrong, err))) {
        return RESULT_ERROR;
    }
    w->wrong_copies += wrong;
    w->copies += !item->replayed;
    w->replayed += item->replayed;
    return RESULT_DONE;
}

/* A copy without an id: whatever it is, no row can be meant by it. And no copy can be meant by a
 * row without one, which is poison. */
static int take_nameless(struct walk *w, const struct verify_item *item, struct error *err)
{
    if (item->side != VERIFY_COPY) {
        w->counts->rows += item->side == VERIFY_ROW;
        w->counts->letters += item->side == VERIFY_ROW;
        return RESULT_DONE;
    }
    w->counts->copies++;
    if (is_outside(w, item->created_us, item->late)) {
        w->counts->outside++;
        return RESULT_DONE;
    }
    if (!is_comparable(w, item->created_us, item->late)) {
        w->counts->not_comparable++;
        return RESULT_DONE;
    }
    buf_clear(&w->where);
    return add_place(w, item, 0, &w->where, err)
               ? RESULT_ERROR
               : tell(w, VERIFY_EXTRA, SLICE_NULL, INT64_MIN, buf_str(&w->where), err);
}

static int take(void *ctx, const struct verify_item *item, struct error *err)
{
    struct walk *w = ctx;
    if (++w->items % LOOK_EVERY == 0 && interrupted(w->judge->stop_fd)) {
        return error_set(err, ERROR_RETRY, "verify", "it was interrupted");
    }
    if (slice_is_null(item->id)) {
        return take_nameless(w, item, err); /* they sort before all others */
    }
    if (w->open && !slice_equal(item->id, buf_slice(&w->id)) && end_id(w, err)) {
        return RESULT_ERROR;
    }
    if (!w->open) {
        begin_id(w, item->id);
    }
    if (item->side == VERIFY_ROW) {
        w->counts->rows++;
        add_row(w, item);
        return RESULT_DONE;
    }
    if (item->side == VERIFY_LETTER) {
        w->letter = true;
        w->edited |= item->number > 0;
        return RESULT_DONE;
    }
    return take_copy(w, item, err);
}

int verify_judge(const struct verify_judge *j, struct verify_counts *ret, struct error *err)
{
    CLEANUP(release) struct walk w = {.judge = j, .counts = ret};
    if (j->removed(j->ctx, &w.removed, err) || verify_sort_walk(j->sort, take, &w, err) ||
        end_id(&w, err)) {
        return RESULT_ERROR;
    }
    return ask_all(&w, err);
}
