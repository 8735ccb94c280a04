/* The source of docs/ADD-A-SOURCE.md: reads an outbox table of a SQLite file in the order of `seq`,
 * which must be an INTEGER PRIMARY KEY AUTOINCREMENT. SQLite has one writer at a time, so no later
 * commit adds a row below one that was read, and the highest seq read says all about the position.
 * Every read is one short statement, so that the relay holds up no writer. */
#include "base/digits.h"
#include "contract/source.h"
#include "db/sqlite.h"

#include <stdlib.h>
#include <string.h>

static const int64_t PATIENCE_US = US_PER_SECOND; /* for a lock of another process */

struct example_conf {
    char *path, *table, *start_from;
    int64_t poll_interval_us;
};

struct example {
    const struct example_conf *conf;
    const struct source_env *env;
    struct sqlite *db; /* NULL: not connected */
    struct sqlite_stmt *page;
    int64_t last;         /* seq of the last row given */
    int64_t next_poll_us; /* monotonic; 0: read again at once */
    int64_t oldest_us;    /* time of the first row of the last read; TIME_NONE: it found none */
};

/* The columns of a page, in this order; the env's further columns follow. */
enum { SEQ, ID, AGGREGATETYPE, AGGREGATEID, TYPE, PAYLOAD, SIZE, HEADERS, CREATED_AT, FURTHER };

/* --- life --- */

static void disconnect(struct example *s)
{
    sqlite_stmt_free(s->page);
    sqlite_close(s->db);
    s->page = NULL;
    s->db = NULL;
}

/* Parameters: behind this seq, rows, bytes of a payload. A larger payload is not loaded. */
static int prepare(struct example *s, struct error *err)
{
    CLEANUP(buf_release) struct buf sql = {0};
    if (s->env->json_count > 0) {
        return error_set(err, ERROR_CONFIG, "example",
                         "encode.envelope needs columns with PostgreSQL's types; remove it");
    }
    buf_add_str(&sql, "SELECT seq, id, aggregatetype, aggregateid, type,"
                      " CASE WHEN length(CAST(payload AS BLOB)) <= ?3 THEN payload END,"
                      " length(CAST(payload AS BLOB)), headers, created_at");
    for (size_t i = 0; i < s->env->columns_count; i++) {
        buf_add_str(&sql, ", ");
        sqlite_quote_name(&sql, s->env->columns[i]);
    }
    buf_add_str(&sql, " FROM ");
    sqlite_quote_name(&sql, s->conf->table);
    buf_add_str(&sql, " WHERE seq > ?1 ORDER BY seq LIMIT ?2");
    return sqlite_prepare(s->db, buf_str(&sql), &s->page, err);
}

static int connect_file(struct example *s, struct error *err)
{
    const struct sqlite_options opt = {
        .path = s->conf->path, .patience_us = PATIENCE_US, .stop_fd = s->env->stop_fd};
    if (s->db) {
        return RESULT_DONE;
    }
    if (sqlite_open(&opt, &s->db, err) || prepare(s, err)) {
        disconnect(s);
        return RESULT_ERROR;
    }
    return RESULT_DONE;
}

/* --- cursors and positions --- */

/* The text of a cursor: "e1" for this source and its version, a blank, the seq delivered last. */
static const char MARK[] = "e1 ";
enum { MARK_LEN = sizeof MARK - 1 };

static bool parse(struct slice cursor, int64_t *ret)
{
    uint64_t seq;
    if (cursor.len < MARK_LEN || memcmp(cursor.ptr, MARK, MARK_LEN) != 0 ||
        !digits_parse((struct slice){cursor.ptr + MARK_LEN, cursor.len - MARK_LEN}, &seq) ||
        seq > INT64_MAX) {
        return false;
    }
    *ret = (int64_t)seq;
    return true;
}

/* A position that people may give. *ret_seq: -1 for `now`. */
static int check_position(const char *text, int64_t *ret_seq, struct error *err)
{
    uint64_t seq = 0;
    bool now = strcmp(text, "now") == 0;
    if (!now && strcmp(text, "beginning") != 0 &&
        (!digits_parse(slice_from(text), &seq) || seq > INT64_MAX)) {
        return error_set(err, ERROR_CONFIG, "example",
                         "\"%s\" is no position: give beginning, now, or a seq", text);
    }
    *ret_seq = now ? -1 : (int64_t)seq;
    return RESULT_DONE;
}

static int find_seq(struct example *s, const char *text, int64_t *ret, struct error *err)
{
    CLEANUP(buf_release) struct buf sql = {0};
    if (check_position(text, ret, err)) {
        return RESULT_ERROR;
    }
    if (*ret >= 0) {
        return RESULT_DONE;
    }
    buf_add_str(&sql, "SELECT max(seq) FROM ");
    sqlite_quote_name(&sql, s->conf->table);
    return sqlite_query_int(s->db, buf_str(&sql), 0, ret, err);
}

static int example_position(void *source, const char *text, struct buf *ret_cursor,
                            struct error *err)
{
    struct example *s = source;
    int64_t seq;
    if (connect_file(s, err) || find_seq(s, text, &seq, err)) {
        return RESULT_ERROR;
    }
    buf_printf(ret_cursor, "%s%lld", MARK, (long long)seq);
    return RESULT_DONE;
}

static void example_describe(struct slice cursor, struct buf *out)
{
    int64_t seq;
    if (parse(cursor, &seq)) {
        buf_printf(out, "%lld", (long long)seq);
    }
}

static void example_cursor(void *source, const struct batch *batch, size_t index, struct buf *out)
{
    const struct example *s = source;
    buf_add_str(out, MARK);
    if (batch) {
        buf_add_slice(out, batch->events[index].position);
    } else {
        buf_printf(out, "%lld", (long long)s->last);
    }
}

/* --- the contract --- */

static int example_open(const void *conf, const struct source_env *env, void **ret_source,
                        unsigned *ret_caps, struct error *err)
{
    const struct example_conf *c = conf;
    int64_t ignored;
    if (check_position(c->start_from, &ignored, err)) {
        return error_prefix(err, "source.start_from");
    }
    struct example *s = calloc(1, sizeof *s);
    if (!s) {
        return error_set(err, ERROR_FATAL, "example", "out of memory");
    }
    s->conf = c;
    s->env = env;
    s->oldest_us = TIME_NONE;
    *ret_caps = SOURCE_ORDERED | SOURCE_ROWS_STAY;
    *ret_source = s;
    return RESULT_DONE;
}

static void example_close(void *source)
{
    if (source) {
        disconnect(source);
        free(source);
    }
}

static int example_start(void *source, struct slice cursor, int64_t epoch UNUSED, struct error *err)
{
    struct example *s = source;
    disconnect(s);
    s->next_poll_us = 0;
    if (connect_file(s, err)) {
        return RESULT_ERROR;
    }
    if (slice_is_null(cursor)) {
        return find_seq(s, s->conf->start_from, &s->last, err);
    }
    if (!parse(cursor, &s->last)) {
        return error_exit(
            err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "example",
            "the stored cursor of pipeline %s was not made by this source; say where to go on with `position set`",
            s->env->pipeline);
    }
    return RESULT_DONE;
}

static void example_poll_fds(void *source, struct poll_set *set)
{
    const struct example *s = source;
    poll_set_deadline(set, s->next_poll_us);
}

/* Copies the row into the batch's memory: SQLite's own ends with the next step. */
static void fill(const struct example *s, struct batch *b, struct event *e)
{
    struct arena *a = &b->arena;
    struct sqlite_stmt *row = s->page;
    e->position = arena_copy(a, sqlite_value(row, SEQ));
    e->id = arena_copy(a, sqlite_value(row, ID));
    e->aggregatetype = arena_copy(a, sqlite_value(row, AGGREGATETYPE));
    e->aggregateid = arena_copy(a, sqlite_value(row, AGGREGATEID));
    e->type = arena_copy(a, sqlite_value(row, TYPE));
    e->payload = arena_copy(a, sqlite_value(row, PAYLOAD));
    e->payload_kind = sqlite_is_blob(row, PAYLOAD) ? PAYLOAD_BYTES : PAYLOAD_TEXT;
    e->headers = arena_copy(a, event_headers(sqlite_value(row, HEADERS)));
    e->created_at = arena_copy(a, sqlite_value(row, CREATED_AT));
    (void)clock_parse_timestamp(e->created_at, &e->created_at_us); /* else it has the text only */
    struct slice *further = arena_array(a, s->env->columns_count, sizeof *further);
    for (size_t i = 0; i < s->env->columns_count; i++) {
        further[i] = arena_copy(a, sqlite_value(row, FURTHER + (int)i));
    }
    e->columns = further;
    if (slice_is_null(e->payload) && !slice_is_null(sqlite_value(row, SIZE))) {
        e->poison = "the payload is larger than delivery.max_event_bytes";
        e->partial = true;
    }
}

static size_t bytes_of(const struct example *s)
{
    size_t bytes = sizeof(struct event);
    for (int col = 0; col < FURTHER + (int)s->env->columns_count; col++) {
        bytes += sqlite_value(s->page, col).len + 1;
    }
    return bytes;
}

static int example_read(void *source, struct batch *batch, size_t max_events, size_t max_bytes,
                        struct error *err)
{
    struct example *s = source;
    size_t most = s->env->max_event_bytes;
    bool row;
    sqlite_bind_int(s->page, 1, s->last);
    sqlite_bind_int(s->page, 2, (int64_t)max_events);
    sqlite_bind_int(s->page, 3, most ? (int64_t)most : INT64_MAX);
    for (;;) {
        if (sqlite_step(s->page, &row, err)) {
            return RESULT_ERROR; /* RETRY: the pipeline starts the source again */
        }
        size_t bytes = row ? bytes_of(s) : 0;
        if (!row || (batch->count > 0 && batch->bytes + bytes > max_bytes)) {
            break;
        }
        struct event *e = batch_add(batch);
        fill(s, batch, e);
        e->bytes = bytes;
        batch->bytes += bytes;
        s->last = sqlite_int(s->page, SEQ);
    }
    sqlite_reset(s->page);
    s->oldest_us = batch->count > 0 ? batch->events[0].created_at_us : TIME_NONE;
    s->next_poll_us = batch->count > 0 ? 0 : clock_mono_us() + s->conf->poll_interval_us;
    return RESULT_DONE;
}

static void example_lag(void *source, struct source_lag *ret)
{
    const struct example *s = source;
    ret->oldest_us = s->oldest_us;
    ret->pending_events = s->next_poll_us ? 0 : -1;
}

static void example_store_url(const void *conf, struct buf *out)
{
    const struct example_conf *c = conf;
    buf_printf(out, "sqlite:%s", c->path);
}

static const char *url_value(const char *url)
{
    static const char scheme[] = "example:";
    size_t n = sizeof scheme - 1;
    return strncmp(url, scheme, n) == 0 && url[n] ? url + n : NULL;
}

#define CONF(field) offsetof(struct example_conf, field)

static const struct conf_key example_keys[] = {
    {"path", CONF_STRING, CONF(path), .required = true, .help = "The database file"},
    {"table", CONF_STRING, CONF(table), "outbox", .help = "The outbox table"},
    {"start_from", CONF_STRING, CONF(start_from), "beginning",
     .help = "beginning, now or a seq: only when nothing is stored yet"},
    {"poll_interval", CONF_DURATION, CONF(poll_interval_us), "1s", .min = US_PER_MS,
     .max = 3600 * INT64_C(1000000), .help = "From a look that found nothing to the next"},
    CONF_END};

const struct source_ops source_example = {
    .name = "example",
    .help = "An outbox table in a SQLite file, the short way",
    .keys = example_keys,
    .conf_size = sizeof(struct example_conf),
    .url = {.value = url_value, .key = "path"},
    .store_url = example_store_url,
    .open = example_open,
    .start = example_start,
    .poll_fds = example_poll_fds,
    .read = example_read,
    .cursor = example_cursor,
    .close = example_close,
    .position = example_position,
    .describe = example_describe,
    .lag = example_lag,
};
