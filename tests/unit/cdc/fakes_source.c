/* The server of test_source.c: it sends again what libpq would send again, and nothing else. */
#include "unit.h"

#include "fakes_source.h"

#include "cdc/decode/catalog.h"
#include "cdc/preflight/preflight.h"
#include "cdc/snapshot/snapshot.h"
#include "cdc/snapshot/state.h"
#include "cdc/spool/spool.h"
#include "db/pg.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Most of what it is told does not matter here. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

struct fake_server server;

void fake_reset(void)
{
    for (size_t i = 0; i < server.count; i++) {
        buf_release(&server.log[i].bytes);
    }
    memset(&server, 0, sizeof server);
    memset(&snapshots, 0, sizeof snapshots);
}

/* --- writing --- */

static struct fake_message *next_message(void)
{
    assert_true(server.count < FAKE_MESSAGES);
    struct fake_message *m = &server.log[server.count++];
    m->commit = server.commit;
    return m;
}

static void put_int(struct buf *b, uint64_t v, size_t bytes)
{
    for (size_t i = bytes; i > 0; i--) {
        buf_add_char(b, (char)(v >> (8 * (i - 1))));
    }
}

static void put_string(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s) + 1);
}

void fake_begin(uint64_t commit)
{
    server.commit = commit;
    struct buf *b = &next_message()->bytes;
    buf_add_char(b, 'B');
    put_int(b, commit, 8);
    put_int(b, 1000000, 8);
    put_int(b, 77, 4);
}

void fake_commit(uint64_t end)
{
    struct buf *b = &next_message()->bytes;
    buf_add_char(b, 'C');
    put_int(b, 0, 1);
    put_int(b, server.commit, 8);
    put_int(b, end, 8);
    put_int(b, 1000000, 8);
    server.commit = 0;
}

static size_t count_words(const char *text)
{
    size_t n = text[0] != '\0';
    for (; *text; text++) {
        n += *text == ' ';
    }
    return n;
}

/* Columns: "*id name": a star marks the identity. */
void fake_relation(uint32_t oid, char identity, const char *name, const char *columns)
{
    struct buf *b = &next_message()->bytes;
    char copy[200], *rest = copy;
    snprintf(copy, sizeof copy, "%s", columns);
    buf_add_char(b, 'R');
    put_int(b, oid, 4);
    put_string(b, "public");
    put_string(b, name);
    buf_add_char(b, identity);
    put_int(b, count_words(columns), 2);
    for (char *word; (word = strsep(&rest, " ")) != NULL;) {
        put_int(b, word[0] == '*', 1);
        put_string(b, word + (word[0] == '*'));
        put_int(b, 25, 4);
        put_int(b, UINT32_MAX, 4);
    }
}

/* Values separated by blanks; - is null, ? unchanged. */
static void put_tuple(struct buf *b, char kind, const char *row)
{
    char copy[400], *rest = copy;
    snprintf(copy, sizeof copy, "%s", row);
    buf_add_char(b, kind);
    put_int(b, count_words(row), 2);
    for (char *word; (word = strsep(&rest, " ")) != NULL;) {
        if (strcmp(word, "-") == 0 || strcmp(word, "?") == 0) {
            buf_add_char(b, word[0] == '-' ? 'n' : 'u');
            continue;
        }
        buf_add_char(b, 't');
        put_int(b, strlen(word), 4);
        buf_add_str(b, word);
    }
}

void fake_insert(uint32_t oid, const char *row)
{
    struct buf *b = &next_message()->bytes;
    buf_add_char(b, 'I');
    put_int(b, oid, 4);
    put_tuple(b, 'N', row);
}

void fake_update(uint32_t oid, char old, const char *before, const char *after)
{
    struct buf *b = &next_message()->bytes;
    buf_add_char(b, 'U');
    put_int(b, oid, 4);
    if (before) {
        put_tuple(b, old, before);
    }
    put_tuple(b, 'N', after);
}

void fake_delete(uint32_t oid, char old, const char *before)
{
    struct buf *b = &next_message()->bytes;
    buf_add_char(b, 'D');
    put_int(b, oid, 4);
    put_tuple(b, old, before);
}

void fake_truncate(uint32_t oid, uint32_t oid2)
{
    struct buf *b = &next_message()->bytes;
    buf_add_char(b, 'T');
    put_int(b, oid2 ? 2 : 1, 4);
    put_int(b, 0, 1);
    put_int(b, oid, 4);
    if (oid2) {
        put_int(b, oid2, 4);
    }
}

void fake_emit(bool transactional, const char *prefix, const char *content)
{
    struct buf *b = &next_message()->bytes;
    buf_add_char(b, 'M');
    put_int(b, transactional, 1);
    put_int(b, 5, 8);
    put_string(b, prefix);
    put_int(b, strlen(content), 4);
    buf_add_str(b, content);
}

void fake_raw(const char *bytes, size_t len)
{
    buf_add(&next_message()->bytes, bytes, len);
}

void fake_keepalive(uint64_t wal_end, bool reply_wanted)
{
    struct fake_message *m = next_message();
    m->keepalive = wal_end;
    m->reply_wanted = reply_wanted;
}

void fake_refuse(void)
{
    next_message()->refuse = true;
}

void fake_pause(void)
{
    next_message()->pause = true;
}

/* --- the stream --- */

struct stream {
    char *held; /* the message given last: gone with the next call */
};

int stream_connect(const struct stream_options *opt, struct stream **ret, struct error *err)
{
    *ret = calloc(1, sizeof **ret);
    return RESULT_DONE;
}

void stream_close(struct stream *s)
{
    if (s) {
        free(s->held);
        free(s);
    }
}

int stream_identify(struct stream *s, struct stream_identity *ret, struct error *err)
{
    *ret = (struct stream_identity){
        .system_id = 7, .timeline = 1, .flush_lsn = 1000000, .database = "shop"};
    return RESULT_DONE;
}

int stream_check_slot(const char *slot, struct error *err)
{
    return RESULT_DONE;
}

int stream_create_slot(struct stream *s, const char *slot, bool export_snapshot, bool temporary,
                       struct stream_slot *ret, struct error *err)
{
    *ret = (struct stream_slot){.consistent_lsn = 10};
    return RESULT_DONE;
}

int stream_drop_slot(struct stream *s, const char *slot, struct error *err)
{
    return RESULT_DONE;
}

/* A transaction is passed over if its commit record lies before the LSN asked for. */
int stream_start(struct stream *s, const struct stream_start *start, struct error *err)
{
    server.started = start->lsn;
    server.at = 0;
    memset(server.described, 0, sizeof server.described);
    return RESULT_DONE;
}

static bool is_passed_over(const struct fake_message *m)
{
    return m->commit != 0 ? m->commit < server.started
                          : m->keepalive != 0 && m->keepalive < server.started;
}

static uint32_t get_oid(const struct fake_message *m, size_t at)
{
    uint32_t v = 0;
    for (size_t i = 0; i < 4; i++) {
        v = v << 8 | (uint8_t)m->bytes.data[at + i];
    }
    return v;
}

static const struct fake_message *description_of(uint32_t oid)
{
    for (size_t i = server.at; i > 0; i--) {
        const struct fake_message *m = &server.log[i - 1];
        if (m->bytes.len > 0 && m->bytes.data[0] == 'R' && get_oid(m, 1) == oid) {
            return m;
        }
    }
    return NULL;
}

/* Each connection is told of a table before its first change there. */
static const struct fake_message *undescribed(const struct fake_message *m)
{
    char type = m->bytes.len > 0 ? m->bytes.data[0] : '\0';
    size_t at = type == 'T' ? 6 : 1;
    size_t end = type == 'T' ? m->bytes.len : strchr("RIUD", type) && type ? 5 : 0;
    for (; at < end; at += 4) {
        uint32_t oid = get_oid(m, at);
        assert_true(oid < FAKE_TABLES);
        bool known = server.described[oid] || type == 'R';
        server.described[oid] = true;
        if (!known && description_of(oid)) {
            return description_of(oid);
        }
    }
    return NULL;
}

void stream_forget(struct stream *s)
{
    free(s->held);
    s->held = NULL;
}

int stream_next(struct stream *s, struct stream_message *ret, struct error *err)
{
    stream_forget(s);
    while (server.at < server.count && is_passed_over(&server.log[server.at])) {
        server.at++;
    }
    if (server.at == server.count) {
        return RESULT_AGAIN;
    }
    const struct fake_message *m = &server.log[server.at], *description = undescribed(m);
    server.at += description == NULL;
    m = description ? description : m;
    if (m->pause) {
        return RESULT_AGAIN;
    }
    if (m->refuse) {
        server.at--;
        error_set(err, ERROR_FATAL, "postgres", "PostgreSQL: invalid memory alloc request size");
        snprintf(err->code, sizeof err->code, "XX000");
        return RESULT_ERROR;
    }
    if (m->keepalive) {
        *ret = (struct stream_message){
            .kind = STREAM_KEEPALIVE, .wal_end = m->keepalive, .reply_wanted = m->reply_wanted};
        return RESULT_DONE;
    }
    s->held = malloc(m->bytes.len + 1);
    memcpy(s->held, m->bytes.data, m->bytes.len);
    *ret = (struct stream_message){
        .kind = STREAM_DATA, .payload = {s->held, m->bytes.len}, .start_lsn = 42};
    return RESULT_DONE;
}

void stream_poll_fds(struct stream *s, struct poll_set *set)
{
}

void stream_tend_fds(struct stream *s, struct poll_set *set)
{
}

void stream_confirm(struct stream *s, uint64_t flushed, bool now)
{
    assert_true(flushed >= server.confirmed);
    server.confirmed = flushed;
    server.confirmed_now = now;
}

int stream_tend(struct stream *s, struct error *err)
{
    return RESULT_DONE;
}

bool stream_behind(const struct stream *s)
{
    return false;
}

uint64_t stream_wal_end(const struct stream *s)
{
    return 0;
}

/* --- the side connection --- */

int pg_connect(const struct pg_options *opt, struct pg **ret, struct error *err)
{
    *ret = calloc(1, 1);
    return RESULT_DONE;
}

void pg_close(struct pg *c)
{
    free(c);
}

bool pg_alive(const struct pg *c)
{
    return !server.side_dead;
}

bool pg_busy(const struct pg *c)
{
    return server.rest > 0;
}

int pg_notified(struct pg *c, bool *ret, struct error *err)
{
    *ret = false;
    return server.side_dead ? error_set(err, ERROR_RETRY, "postgres", "gone") : RESULT_DONE;
}

void pg_poll_fds(struct pg *c, struct poll_set *set)
{
}

int pg_query(struct pg *c, const char *sql, size_t n, const char *const *params,
             struct pg_result **ret, struct error *err)
{
    if (ret) {
        *ret = NULL;
    }
    return RESULT_DONE;
}

static int demand_idle(struct error *err)
{
    return server.rest > 0 ? error_set(err, ERROR_FATAL, "postgres", "another one runs")
                           : RESULT_DONE;
}

int pg_send(struct pg *c, const char *sql, size_t n, const char *const *params, bool single_row,
            struct error *err)
{
    return demand_idle(err);
}

int pg_take(struct pg *c, struct pg_result **ret, struct error *err)
{
    *ret = NULL;
    return server.rest > 0 && --server.rest > 0 ? RESULT_AGAIN : RESULT_DONE;
}

/* All that is asked for is where the slot begins. */
size_t pg_rows(const struct pg_result *r)
{
    return server.slot_gone ? 0 : 1;
}

struct slice pg_value(const struct pg_result *r, size_t row, size_t col)
{
    return slice_from("0/A");
}

void pg_result_free(struct pg_result *r)
{
}

int slot_state_send(struct pg *sql, const char *slot, const char *publication, struct error *err)
{
    return demand_idle(err);
}

int slot_state_take(struct pg *sql, struct slot_state *ret, struct error *err)
{
    *ret = (struct slot_state){.confirmed = server.confirmed,
                               .current = 900,
                               .retained_bytes = 5,
                               .limit_bytes = -1,
                               .timeline = server.timeline,
                               .publication_there = !server.publication_gone};
    return RESULT_DONE;
}

bool publication_is_watched(const struct cdc_conf *conf)
{
    return conf->tables.count > 0;
}

int publication_watch_send(struct pg *sql, const struct cdc_conf *conf, const char *publication,
                           struct error *err)
{
    return RESULT_DONE;
}

int publication_watch_take(struct pg *sql, const struct cdc_conf *conf, const char *publication,
                           struct error *err)
{
    if (server.side_dead) {
        return error_set(err, ERROR_RETRY, "postgres", "gone");
    }
    return server.table_gone ? error_set(err, ERROR_CONFIG, "postgres", "does not hold table")
                             : RESULT_DONE;
}

int preflight_run(const struct preflight *p, const struct cdc_cursor *cursor, bool want_snapshot,
                  struct preflight_result *ret, struct error *err)
{
    *ret = (struct preflight_result){.slot_confirmed = 10};
    return stream_identify(p->stream, &ret->identity, err);
}

int preflight_doctor(const struct preflight *p, const struct preflight_stored *stored,
                     finding_report *report, void *ctx, struct error *err)
{
    return RESULT_DONE;
}

/* --- the catalogs --- */

struct catalog {
    bool asked;
};

static const struct column_type text_type = {.oid = 25,
                                             .base_oid = 25,
                                             .base_typmod = -1,
                                             .kind = TYPE_BASE,
                                             .schema = {"pg_catalog", 10},
                                             .name = {"text", 4},
                                             .base_name = {"text", 4}};

struct catalog *catalog_new(void)
{
    return calloc(1, sizeof(struct catalog));
}

void catalog_free(struct catalog *c)
{
    free(c);
}

bool catalog_has(const struct catalog *c, const struct pgoutput_message *relation)
{
    return !server.unknown || c->asked;
}

int catalog_ask(struct catalog *c, struct pg *sql, const struct pgoutput_message *relation,
                struct error *err)
{
    if (server.unknown_asks > 0) {
        server.unknown_asks--;
        return RESULT_AGAIN;
    }
    if (server.unknown_fails) {
        server.rest = 3;
        return error_set(err, ERROR_RETRY, "postgres", "the server is shutting down");
    }
    c->asked = true;
    return RESULT_DONE;
}

const struct catalog_table *catalog_table(const struct catalog *c, uint32_t oid)
{
    return NULL;
}

const struct column_type *catalog_type(struct catalog *c, uint32_t oid)
{
    return &text_type;
}

/* --- snapshots --- */

struct fake_snapshots snapshots;

struct snapshot {
    unsigned given;
};

static const struct change_column read_columns[] = {{.name = {"id", 2}, .type = &text_type}};
static const uint16_t read_key[] = {0};
static const struct change_table read_table = {.oid = 99,
                                               .schema = {"public", 6},
                                               .name = {"orders", 6},
                                               .columns = read_columns,
                                               .columns_count = 1,
                                               .key = read_key,
                                               .key_count = 1};

static int refuse(enum error_class class, struct error *err)
{
    return error_set(err, class, "fake", "the snapshot is refused");
}

int snapshot_open(const struct snapshot_options *opt, struct snapshot **ret, struct error *err)
{
    CLEANUP(arena_release) struct arena arena;
    struct snapshot_place place;
    arena_init(&arena);
    if (!opt->request) {
        return error_set(err, ERROR_FATAL, "fake", "no initial snapshot here");
    }
    snprintf(snapshots.last, sizeof snapshots.last, "%s|%s", opt->request->tables,
             opt->request->where);
    snapshots.opened++;
    if (snapshots.refuse != ERROR_NONE) {
        snapshots.closed++;
        return refuse(snapshots.refuse, err);
    }
    assert_int_equal(snapshot_place_parse(opt->state, &arena, &place, err), RESULT_DONE);
    *ret = calloc(1, sizeof **ret);
    (*ret)->given = (unsigned)place.rows;
    return RESULT_DONE;
}

int snapshot_check(const struct snapshot_options *opt, struct error *err)
{
    return snapshots.refuse != ERROR_NONE ? refuse(snapshots.refuse, err) : RESULT_DONE;
}

void snapshot_close(struct snapshot *s)
{
    snapshots.closed += s != NULL;
    free(s);
}

int snapshot_next(struct snapshot *s, struct arena *arena, struct snapshot_row *ret, bool *ret_end,
                  struct error *err)
{
    char text[16];
    if (s->given > 0 && snapshots.fails != ERROR_NONE) {
        return refuse(snapshots.fails, err);
    }
    if (s->given > 0 && snapshots.stands) {
        return RESULT_AGAIN;
    }
    *ret_end = s->given == snapshots.rows;
    if (!*ret_end) {
        struct cell *cells = arena_array(arena, 1, sizeof *cells);
        snprintf(text, sizeof text, "%u", ++s->given);
        cells[0] = (struct cell){CELL_TEXT, arena_copy(arena, slice_from(text))};
        *ret = (struct snapshot_row){.table = &read_table,
                                     .cells = cells,
                                     .mark = SNAPSHOT_INCREMENTAL,
                                     .lsn = 1000,
                                     .taken_us = 1};
    }
    return RESULT_DONE;
}

void snapshot_poll_fds(struct snapshot *s, struct poll_set *set)
{
}

bool snapshot_holds(const struct snapshot *s)
{
    return false;
}

void snapshot_begin(struct snapshot *s, uint32_t xid, uint64_t commit_lsn)
{
}

void snapshot_watermark(struct snapshot *s, struct slice content)
{
}

bool snapshot_row_changed(struct snapshot *s, const struct change_table *table,
                          const struct cell *before, struct cell *after, struct arena *arena)
{
    return true;
}

bool snapshot_truncated(struct snapshot *s, const struct change_table *table)
{
    return true;
}

void snapshot_state(const struct snapshot *s, struct buf *out)
{
    const struct snapshot_place place = {.lsn = 1000, .started_us = 1, .rows = s->given};
    snapshot_place_format(&place, out);
}

void snapshot_progress(const struct snapshot *s, char *out, size_t size)
{
    out[0] = '\0';
}

/* --- no spool --- */

struct spool *spool_new(const char *dir)
{
    return NULL;
}

void spool_free(struct spool *s)
{
}

void spool_clear(struct spool *s)
{
}

bool spool_begin(struct spool *s, uint64_t start)
{
    return true;
}

int spool_check(const struct spool *s, struct error *err)
{
    return RESULT_DONE;
}

int spool_next(struct spool *s, struct stream *stream, struct stream_message *ret,
               struct error *err)
{
    return stream_next(stream, ret, err);
}
