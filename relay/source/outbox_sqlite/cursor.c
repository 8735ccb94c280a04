/*
 * The cursor text and the positions that people give. The text is "s1 <last row id delivered>
 * <identity>" in position mode and "d1 ..." in delete mode. A cursor is used only in the database
 * in which it was made. In position mode that database must also have given out all row ids up to
 * it: after a restore it would not, and events would be skipped.
 */
#include "source/outbox_sqlite/internal.h"

#include <stdlib.h>
#include <string.h>

struct cursor {
    char letter; /* first letter of the mode that made it */
    int64_t last;
    struct slice identity;
};

static bool parse_int(struct slice s, int64_t *ret)
{
    char digits[24], *end;
    if (s.len == 0 || s.len >= sizeof digits || s.ptr[0] == ' ' || s.ptr[0] == '+') {
        return false;
    }
    memcpy(digits, s.ptr, s.len);
    digits[s.len] = '\0';
    *ret = strtoll(digits, &end, 10);
    return *end == '\0';
}

static bool parse(struct slice text, struct cursor *ret)
{
    if (text.len < 4 ||
        (text.ptr[0] != OUTBOX_SQLITE_LETTER_POSITION &&
         text.ptr[0] != OUTBOX_SQLITE_LETTER_DELETE) ||
        text.ptr[1] != '1' || text.ptr[2] != ' ') {
        return false;
    }
    struct slice number = {text.ptr + 3, text.len - 3};
    const char *blank = memchr(number.ptr, ' ', number.len);
    if (!blank) {
        return false;
    }
    ret->identity = (struct slice){blank + 1, number.len - (size_t)(blank + 1 - number.ptr)};
    number.len = (size_t)(blank - number.ptr);
    ret->letter = text.ptr[0];
    return parse_int(number, &ret->last);
}

void outbox_sqlite_cursor_text(const struct outbox_sqlite *s, int64_t last, struct buf *out)
{
    buf_printf(out, "%c1 %lld %s", s->mode->letter, (long long)last,
               s->identity[0] ? s->identity : "-");
}

void outbox_sqlite_cursor(void *source, const struct batch *batch, size_t index, struct buf *out)
{
    struct outbox_sqlite *s = source;
    int64_t last = s->shown;
    if (batch) {
        (void)parse_int(batch->events[index].position, &last); /* cannot fail: rows.c printed it */
    }
    outbox_sqlite_cursor_text(s, last, out);
}

int64_t outbox_sqlite_cursor_last(struct slice text)
{
    struct cursor cursor;
    return !slice_is_null(text) && parse(text, &cursor) ? cursor.last : INT64_MIN;
}

void outbox_sqlite_describe(struct slice cursor, struct buf *out)
{
    struct cursor c;
    if (parse(cursor, &c) && (c.last == 0 || c.last == INT64_MIN)) {
        buf_add_str(out, "beginning");
    } else if (parse(cursor, &c)) {
        buf_printf(out, "%lld", (long long)c.last);
    } else {
        buf_add_slice(out, cursor);
    }
}

/* The highest row id that was ever committed, which SQLite keeps for AUTOINCREMENT. */
static int highest_ever(struct outbox_sqlite *s, int64_t *ret, struct error *err)
{
    bool row;
    if (!s->sequence && sqlite_prepare(s->db, "SELECT seq FROM sqlite_sequence WHERE name = ?1",
                                       &s->sequence, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_text(s->sequence, 1, slice_from(s->table.name));
    if (sqlite_step(s->sequence, &row, err)) {
        return RESULT_ERROR;
    }
    *ret = row ? sqlite_int(s->sequence, 0) : 0;
    if (row) {
        sqlite_reset(s->sequence);
    }
    return RESULT_DONE;
}

int outbox_sqlite_check_sequence(struct outbox_sqlite *s, int64_t last, struct error *err)
{
    int64_t highest;
    if (!s->mode->has_positions || last <= 0) {
        return RESULT_DONE;
    }
    if (highest_ever(s, &highest, err)) {
        return RESULT_ERROR;
    }
    if (last > highest) {
        return error_exit(
            err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "sqlite",
            "position %lld of pipeline \"%s\" is ahead of table \"%s\" in \"%s\", which has given out only %lld: the table or file was restored, re-created or emptied with its sequence; choose with `commitrelay position set` where to go on",
            (long long)last, s->env->pipeline, s->conf->table, s->conf->path, (long long)highest);
    }
    return RESULT_DONE;
}

static int refuse(struct outbox_sqlite *s, struct slice cursor, const char *why, struct error *err)
{
    return error_exit(
        err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "sqlite",
        "the stored position \"%.*s\" of pipeline \"%s\" does not fit table \"%s\" in \"%s\": %s; choose with `commitrelay position set` where to go on",
        SLICE_FMT(cursor), s->env->pipeline, s->conf->table, s->conf->path, why);
}

static bool is_foreign(const struct outbox_sqlite *s, const struct cursor *c)
{
    return s->identity[0] && !slice_equal_str(c->identity, s->identity) &&
           !slice_equal_str(c->identity, "-");
}

bool outbox_sqlite_cursor_is_ours(const struct outbox_sqlite *s, struct slice text)
{
    struct cursor c;
    return parse(text, &c) && c.letter == outbox_sqlite_position_mode.letter && !is_foreign(s, &c);
}

int outbox_sqlite_resume(struct outbox_sqlite *s, struct slice cursor, struct error *err)
{
    struct cursor c = {.letter = s->mode->letter};
    const struct source_range *range = s->env->range;
    if (cursor.len == 0 && range) {
        c.last = range->from == INT64_MIN ? INT64_MIN : range->from - 1;
    } else if (cursor.len == 0) {
        if (outbox_sqlite_place(s, s->conf->start_from, &c.last, err)) {
            return RESULT_ERROR;
        }
    } else if (!parse(cursor, &c)) {
        return refuse(s, cursor, "it was not made by a SQLite outbox", err);
    } else if (is_foreign(s, &c)) {
        return refuse(s, cursor, "it was made in another database", err);
    }
    return s->mode->go_on(s, c.letter, c.last, err);
}

static int go_on(struct outbox_sqlite *s, char letter, int64_t last, struct error *err)
{
    /* A cursor of delete mode: all rows that are left in the table are undelivered. */
    if (letter != s->mode->letter && outbox_sqlite_place(s, "beginning", &last, err)) {
        return RESULT_ERROR;
    }
    s->shown = s->last = last;
    return outbox_sqlite_check_sequence(s, last, err);
}

static int read_rows(struct outbox_sqlite *s, int64_t version, struct batch *batch,
                     size_t max_events, size_t max_bytes, struct error *err)
{
    (void)version;
    return outbox_sqlite_page(s, batch, max_events, max_bytes, err);
}

const struct outbox_sqlite_mode outbox_sqlite_position_mode = {.letter =
                                                                   OUTBOX_SQLITE_LETTER_POSITION,
                                                               .has_positions = true,
                                                               .go_on = go_on,
                                                               .read = read_rows};

int outbox_sqlite_check_position(const struct outbox_sqlite_conf *conf,
                                 const struct outbox_sqlite_mode *mode, const char *text,
                                 struct error *err)
{
    int64_t value;
    if (strcmp(text, "beginning") == 0) {
        return RESULT_DONE;
    }
    if (!mode->has_positions) {
        return error_set(
            err, ERROR_CONFIG, "sqlite",
            "position \"%s\" cannot be used in delete mode: what is in table \"%s\" is undelivered; use beginning, and delete the rows that must not be sent",
            text, conf->table);
    }
    if (strcmp(text, "now") != 0 && !parse_int(slice_from(text), &value)) {
        return error_set(
            err, ERROR_CONFIG, "sqlite",
            "\"%s\" is no position of a SQLite outbox; give beginning, now, or the seq of the last event that counts as delivered",
            text);
    }
    return RESULT_DONE;
}

int outbox_sqlite_place(struct outbox_sqlite *s, const char *text, int64_t *ret_last,
                        struct error *err)
{
    int64_t value;
    if (outbox_sqlite_check_position(s->conf, s->mode, text, err)) {
        return RESULT_ERROR;
    }
    if (strcmp(text, "beginning") == 0) {
        if (sqlite_query_int(s->db, s->table.lowest, 1, &value, err)) {
            return RESULT_ERROR;
        }
        /* Row ids set explicitly may be negative. */
        *ret_last = value < 1 && value > INT64_MIN ? value - 1 : 0;
        return RESULT_DONE;
    }
    if (strcmp(text, "now") == 0) {
        return highest_ever(s, ret_last, err);
    }
    int64_t highest;
    if (!parse_int(slice_from(text), &value)) { /* cannot fail: check_position has parsed it */
        return error_set(err, ERROR_FATAL, "sqlite", "\"%s\" is no position", text);
    }
    if (highest_ever(s, &highest, err)) {
        return RESULT_ERROR;
    }
    if (value > highest) {
        return error_set(
            err, ERROR_CONFIG, "sqlite",
            "position %lld is ahead of table \"%s\" in \"%s\", whose highest is %lld; use now",
            (long long)value, s->conf->table, s->conf->path, (long long)highest);
    }
    *ret_last = value;
    return RESULT_DONE;
}

int outbox_sqlite_position(void *source, const char *text, struct buf *ret_cursor,
                           struct error *err)
{
    struct outbox_sqlite *s = source;
    int64_t last;
    if (outbox_sqlite_connect(s, err) || outbox_sqlite_place(s, text, &last, err)) {
        return RESULT_ERROR;
    }
    buf_clear(ret_cursor);
    outbox_sqlite_cursor_text(s, last, ret_cursor);
    return RESULT_DONE;
}

int outbox_sqlite_resumes(void *source, struct slice cursor, struct error *err)
{
    struct outbox_sqlite *s = source;
    struct cursor c;
    if (outbox_sqlite_connect(s, err) ||
        (!s->mode->has_positions &&
         outbox_sqlite_check_position(s->conf, s->mode, "a time", err))) {
        return RESULT_ERROR;
    }
    if (!parse(cursor, &c) || c.letter != s->mode->letter) {
        return refuse(s, cursor, "it was not made by position mode of a SQLite outbox", err);
    }
    if (is_foreign(s, &c)) {
        return refuse(s, cursor, "it was made in another database", err);
    }
    return outbox_sqlite_check_sequence(s, c.last, err);
}

int outbox_sqlite_accepts(void *source, struct slice cursor, struct slice last_position,
                          struct slice last_id, struct error *err)
{
    struct outbox_sqlite *s = source;
    struct cursor c;
    int64_t key;
    bool row;
    if (outbox_sqlite_connect(s, err)) {
        return RESULT_ERROR;
    }
    if (!parse(cursor, &c) || !parse_int(last_position, &key)) {
        return refuse(s, cursor, "it was not made by a SQLite outbox", err);
    }
    if (is_foreign(s, &c)) {
        return refuse(s, cursor, "it was made in another database", err);
    }
    sqlite_bind_int(s->fetch_slim, 1, key);
    if (sqlite_step(s->fetch_slim, &row, err)) {
        return RESULT_ERROR;
    }
    if (!row) {
        /* Delete mode may have deleted the row already. In position mode the application must not
         * delete a row before the position behind it is saved. */
        return s->mode->has_positions
                   ? refuse(s, cursor, "the row of its last event is no longer there", err)
                   : RESULT_DONE;
    }
    bool same = slice_equal(sqlite_value(s->fetch_slim, COL_ID), last_id);
    sqlite_reset(s->fetch_slim);
    if (!same && s->mode->has_positions) {
        return refuse(s, cursor, "the row of its last event has another id now", err);
    }
    return RESULT_DONE;
}

/* SQLite has one writer at a time, so what lies up to the stored row id is delivered, and nothing
 * else. */
int outbox_sqlite_frontier(void *source, struct slice cursor, struct buf *out, struct error *err)
{
    struct outbox_sqlite *s = source;
    struct cursor c = {.last = INT64_MIN};
    if (!s->mode->has_positions) {
        return error_set(
            err, ERROR_CONFIG, "sqlite",
            "pipeline \"%s\" has mode: delete, which removes each row once it is delivered: there is nothing to send again. Take the events from the topic or the batch files, or insert them again with their ids (docs/REPLAY.md)",
            s->env->pipeline);
    }
    if (outbox_sqlite_connect(s, err)) {
        return RESULT_ERROR;
    }
    bool fits =
        slice_is_null(cursor) || (parse(cursor, &c) && c.letter == s->mode->letter &&
                                  (!s->identity[0] || slice_equal_str(c.identity, s->identity) ||
                                   slice_equal_str(c.identity, "-")));
    if (!fits) {
        return refuse(s, cursor, "it does not say what was delivered from this table", err);
    }
    buf_printf(out, "%lld", (long long)c.last);
    return outbox_sqlite_check_sequence(s, c.last, err);
}
