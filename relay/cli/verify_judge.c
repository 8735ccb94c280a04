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

struct walk {
    const struct verify_judge *judge;
    struct verify_counts *counts;
    int64_t lowest_us; /* the oldest event that the table has; TIME_NONE: unknown */

    /* Of the id at hand. */
    bool open, has_row, letter, edited;
    struct buf id, where, wrong; /* wrong: the copies with another payload */
    char digest[VERIFY_DIGEST + 1];
    int64_t position, copies, replayed, wrong_copies, created_us;
    bool late;

    struct stranger strangers[ASK_MAX];
    size_t count, items;
    struct arena arena; /* of the strangers */
};

static void release(struct walk *w)
{
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

static bool is_older(const struct walk *w, int64_t created_us)
{
    return created_us != TIME_NONE && w->lowest_us != TIME_NONE && created_us < w->lowest_us;
}

static int sort_out(struct walk *w, const struct stranger *s, bool there, struct error *err)
{
    if (there) {
        w->counts->outside += s->copies;
        return RESULT_DONE;
    }
    if (is_older(w, s->created_us)) {
        w->counts->older += s->copies;
        return RESULT_DONE;
    }
    return tell(w, VERIFY_EXTRA, slice_from(s->id), INT64_MIN, s->where, err);
}

/* All of them are in the table, or none is; else each half is asked for. */
static int ask(struct walk *w, size_t from, size_t to, struct error *err)
{
    const char *ids[ASK_MAX];
    int64_t n = (int64_t)(to - from), there = 0;
    for (size_t i = from; i < to; i++) {
        ids[i - from] = w->strangers[i].id;
    }
    if (w->judge->count(w->judge->ctx, ids, to - from, &there, &w->lowest_us, err)) {
        return RESULT_ERROR;
    }
    if (n > 1 && there > 0 && there < n) {
        size_t middle = from + (to - from) / 2;
        return ask(w, from, middle, err) ? RESULT_ERROR : ask(w, middle, to, err);
    }
    for (size_t i = from; i < to; i++) {
        if (sort_out(w, &w->strangers[i], there > 0, err)) {
            return RESULT_ERROR;
        }
    }
    return RESULT_DONE;
}

static int ask_all(struct walk *w, struct error *err)
{
    int rc = w->count ? ask(w, 0, w->count, err) : RESULT_DONE;
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

static int judge_row(struct walk *w, struct error *err)
{
    struct slice id = buf_slice(&w->id);
    int rc = RESULT_DONE;
    if (w->copies + w->replayed == 0) {
        if (w->letter) {
            w->counts->letters++;
            return RESULT_DONE;
        }
        return tell(w, VERIFY_MISSING, id, w->position, "", err)
                   ? RESULT_ERROR
                   : verify_sort_miss(w->judge->sort, id, w->position, err);
    }
    w->counts->replayed += w->replayed - (w->copies == 0);
    if (w->copies > 1) {
        rc = tell(w, VERIFY_DUPLICATED, id, w->position, buf_str(&w->where), err);
    }
    if (rc == RESULT_DONE && w->wrong_copies > 0) {
        rc = tell(w, VERIFY_DIFFERENT, id, w->position, buf_str(&w->wrong), err);
    }
    return rc;
}

static int end_id(struct walk *w, struct error *err)
{
    int rc = RESULT_DONE;
    if (w->open && w->has_row) {
        rc = judge_row(w, err);
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
    buf_clear(&w->id);
    buf_clear(&w->where);
    buf_clear(&w->wrong);
    buf_add_slice(&w->id, id);
    w->digest[0] = '\0';
    w->open = true;
    w->has_row = w->letter = w->edited = w->late = false;
    w->copies = w->replayed = w->wrong_copies = 0;
    w->created_us = TIME_NONE;
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
    bool wrong = w->has_row && !w->edited && w->digest[0] && !slice_is_null(item->digest) &&
                 !slice_equal_str(item->digest, w->digest);
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

/* Whatever it is, no row can be meant by it. */
static int take_nameless(struct walk *w, const struct verify_item *item, struct error *err)
{
    w->counts->copies++;
    if (is_outside(w, item->created_us, item->late)) {
        w->counts->outside++;
        return RESULT_DONE;
    }
    if (is_older(w, item->created_us)) {
        w->counts->older++;
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
        w->has_row = true;
        w->position = item->number;
        memcpy(w->digest, item->digest.len == VERIFY_DIGEST ? item->digest.ptr : "",
               item->digest.len == VERIFY_DIGEST ? VERIFY_DIGEST : 1);
        w->digest[VERIFY_DIGEST] = '\0';
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
    CLEANUP(release) struct walk w = {.judge = j, .counts = ret, .lowest_us = TIME_NONE};
    int64_t none;
    if (j->count(j->ctx, NULL, 0, &none, &w.lowest_us, err) ||
        verify_sort_walk(j->sort, take, &w, err) || end_id(&w, err)) {
        return RESULT_ERROR;
    }
    return ask_all(&w, err);
}
