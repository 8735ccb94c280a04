/* The list of requested snapshots and its text in the cursor. */
#include "cdc/snapshot/requests.h"

#include "base/memory.h"
#include "cdc/snapshot/state.h"
#include "value/pattern.h"

#include <stdlib.h>
#include <string.h>

static char *copy_of(struct slice s)
{
    char *out = memory_need(malloc(s.len + 1));
    if (s.len) {
        memcpy(out, s.ptr, s.len);
    }
    out[s.len] = '\0';
    return out;
}

static void release(struct snapshot_request *r)
{
    free(r->tables);
    free(r->id);
    free(r->where);
    free(r->place);
}

void snapshot_requests_release(struct snapshot_requests *q)
{
    for (size_t i = 0; i < q->count; i++) {
        release(&q->items[i]);
    }
    q->count = 0;
    q->paused = false;
}

/* The most that the list's texts can take in the cursor: a byte may become three. */
static size_t length(const struct snapshot_requests *q)
{
    size_t n = 0;
    for (size_t i = 0; i < q->count; i++) {
        const struct snapshot_request *r = &q->items[i];
        n += 3 * (strlen(r->tables) + strlen(r->id) + strlen(r->where));
    }
    return n;
}

static void append(struct snapshot_requests *q, struct slice tables, struct slice id,
                   struct slice where, struct slice place)
{
    q->items[q->count++] = (struct snapshot_request){.tables = copy_of(tables),
                                                     .id = copy_of(id),
                                                     .where = copy_of(where),
                                                     .place = copy_of(place),
                                                     .number = ++q->numbers};
}

bool snapshot_requests_add(struct snapshot_requests *q, struct slice tables, struct slice id,
                           struct slice where, uint64_t lsn, int64_t asked_us)
{
    /* Tables without a key cannot be read beside the stream (see resume.h) and are refused, so they
     * count as done. */
    const struct snapshot_place place = {.lsn = lsn, .started_us = asked_us, .bare_done = true};
    CLEANUP(buf_release) struct buf text = {0};
    if (q->count == SNAPSHOT_REQUESTS_MAX ||
        length(q) + 3 * (tables.len + id.len + where.len) > SNAPSHOT_REQUESTS_BYTES) {
        return false;
    }
    snapshot_place_format(&place, &text);
    append(q, tables, id, where, buf_slice(&text));
    return true;
}

void snapshot_requests_drop(struct snapshot_requests *q, size_t i)
{
    release(&q->items[i]);
    q->count--;
    memmove(&q->items[i], &q->items[i + 1], (q->count - i) * sizeof q->items[i]);
    q->paused = q->paused && q->count > 0;
}

void snapshot_requests_reached(struct snapshot_requests *q, size_t i, struct slice place)
{
    free(q->items[i].place);
    q->items[i].place = copy_of(place);
}

/* --- the text --- */

void snapshot_requests_format(const struct snapshot_requests *q, struct buf *out)
{
    buf_add_str(out, q->paused ? ";paused" : "");
    for (size_t i = 0; i < q->count; i++) {
        const struct snapshot_request *r = &q->items[i];
        buf_add_char(out, ';');
        snapshot_text_add(out, slice_from(r->tables));
        buf_add_char(out, '|');
        snapshot_text_add(out, slice_from(r->id));
        buf_add_char(out, '|');
        snapshot_text_add(out, slice_from(r->where));
        buf_add_char(out, '|');
        buf_add_str(out, r->place);
    }
}

/* Cuts what stands before the next `mark` off *rest, and the mark with it; without one, all of it.
 */
static struct slice cut(struct slice *rest, char mark)
{
    const char *at = rest->len ? memchr(rest->ptr, mark, rest->len) : NULL;
    size_t len = at ? (size_t)(at - rest->ptr) : rest->len, skip = len + (at != NULL);
    struct slice word = {rest->ptr, len};
    *rest = (struct slice){rest->ptr + skip, rest->len - skip};
    return word;
}

static bool take(struct slice text, struct arena *arena, struct snapshot_requests *q)
{
    struct slice tables, id, where;
    struct snapshot_place place;
    struct error ignored;
    struct slice words[] = {cut(&text, '|'), cut(&text, '|'), cut(&text, '|')};
    if (q->count == SNAPSHOT_REQUESTS_MAX || !snapshot_text_take(words[0], arena, &tables) ||
        tables.len == 0 || !snapshot_text_take(words[1], arena, &id) ||
        !snapshot_text_take(words[2], arena, &where) ||
        snapshot_place_parse(text, arena, &place, &ignored)) {
        return false;
    }
    append(q, tables, id, where, text);
    return true;
}

int snapshot_requests_parse(struct slice text, struct snapshot_requests *ret,
                            struct slice *ret_initial, struct error *err)
{
    CLEANUP(arena_release) struct arena arena;
    struct slice rest = text, initial;
    arena_init(&arena);
    snapshot_requests_release(ret);
    initial = slice_is_null(text) ? SLICE_NULL : cut(&rest, ';');
    while (!slice_is_null(text) && rest.len > 0) {
        struct slice word = cut(&rest, ';');
        if (slice_equal_str(word, "paused") && ret->count == 0 && !ret->paused) {
            ret->paused = true;
        } else if (!take(word, &arena, ret)) {
            snapshot_requests_release(ret);
            return error_exit(
                err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "cdc",
                "the stored cursor has a requested snapshot in a form that this version does not know (is it of a newer commitrelay?); run that version, or give the request up with commitrelay position set -c FILE --pipeline NAME POSITION --yes");
        }
    }
    *ret_initial = initial.len > 0 ? initial : SLICE_NULL;
    return RESULT_DONE;
}

/* --- which tables --- */

/* Is it schema.table, without anything that a pattern would have? One more dot is such a thing. */
static bool is_plain_name(const char *text)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.";
    const char *dot = strchr(text, '.');
    return strspn(text, letters) == strlen(text) && (!dot || !strchr(dot + 1, '.'));
}

int snapshot_request_pattern(const struct snapshot_request *r, struct pattern **ret,
                             struct error *err)
{
    *ret = NULL;
    return is_plain_name(r->tables) ? RESULT_DONE : pattern_new(r->tables, true, ret, err);
}

int snapshot_request_names(const struct snapshot_request *r, struct pattern *pattern,
                           struct slice schema, struct slice name, bool *ret, struct error *err)
{
    CLEANUP(buf_release) struct buf full = {0};
    buf_printf(&full, "%.*s.%.*s", SLICE_FMT(schema), SLICE_FMT(name));
    *ret = slice_equal_str(buf_slice(&full), r->tables);
    return *ret || !pattern ? RESULT_DONE : pattern_matches(pattern, buf_slice(&full), ret, err);
}
