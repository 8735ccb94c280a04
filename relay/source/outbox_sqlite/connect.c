/*
 * The connection: opening the file, finding out whether it is the one of before and what its table
 * is like, and how long a lock of another process is waited for.
 */
#include "source/outbox_sqlite/internal.h"

#include <string.h>

enum {
    PATIENCE_US = 20 * 1000,        /* how long a read waits for a lock */
    START_PATIENCE_US = 1000 * 1000 /* the same at start */
};

void outbox_sqlite_disconnect(struct outbox_sqlite *s)
{
    struct sqlite_stmt **const all[] = {
        &s->page, &s->fetch, &s->fetch_slim, &s->next_key, &s->list,         &s->remove,
        &s->left, &s->fence, &s->count,      &s->sequence, &s->data_version, &s->schema_version};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        sqlite_stmt_free(*all[i]);
        *all[i] = NULL;
    }
    outbox_sqlite_watch_stop(&s->watch);
    sqlite_close(s->db);
    s->db = NULL;
}

/* Turns the first fault of an inspection into the error. */
static void fault_to_error(void *ctx, int exit_code, const char *text, const char *remedy)
{
    struct error *err = ctx;
    if (exit_code && err->class == ERROR_NONE) {
        error_exit(err, ERROR_CONFIG, exit_code, "sqlite", "%s; %s", text, remedy);
    }
}

static int prepare_statements(struct outbox_sqlite *s, struct error *err)
{
    const struct {
        struct sqlite_stmt **stmt;
        const char *sql;
    } all[] = {{&s->page, s->table.page},
               {&s->fetch, s->table.fetch},
               {&s->fetch_slim, s->table.fetch_slim},
               {&s->next_key, s->table.next_key},
               {&s->list, s->table.list},
               {&s->remove, s->table.remove},
               {&s->left, s->table.left},
               {&s->count, s->table.count},
               {&s->data_version, "PRAGMA data_version"},
               {&s->schema_version, "PRAGMA schema_version"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        sqlite_stmt_free(*all[i].stmt);
        *all[i].stmt = NULL;
        if (sqlite_prepare(s->db, all[i].sql, all[i].stmt, err)) {
            return RESULT_ERROR;
        }
    }
    return RESULT_DONE;
}

/* Reads the schema version before the inspection, so that the next read notices what changes during
 * it. */
int outbox_sqlite_look(struct outbox_sqlite *s, struct error *err)
{
    struct error finding = {0};
    unsigned faults;
    int64_t schema;
    if (sqlite_query_int(s->db, "PRAGMA schema_version", 0, &schema, err) ||
        outbox_sqlite_inspect(s, s->db, &s->table, fault_to_error, &finding, &faults, err) !=
            RESULT_DONE) {
        return RESULT_ERROR;
    }
    if (faults > 0) {
        *err = finding;
        return RESULT_ERROR;
    }
    s->seen_schema = schema;
    return prepare_statements(s, err);
}

/* A file that was put in the place of the first one has another identity, or none. */
static int load_identity(struct outbox_sqlite *s, struct error *err)
{
    char found[sizeof s->identity] = "";
    bool there;
    if (sqlite_has_table(s->db, "commitrelay_meta", &there, err)) {
        return RESULT_ERROR;
    }
    if (there) {
        CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
        bool row;
        if (sqlite_prepare(s->db, "SELECT value FROM commitrelay_meta WHERE name = 'identity'", &q,
                           err) ||
            sqlite_step(q, &row, err)) {
            return RESULT_ERROR;
        }
        struct slice value = row ? sqlite_value(q, 0) : SLICE_NULL;
        if (!slice_is_null(value) && value.len < sizeof found) {
            memcpy(found, value.ptr, value.len);
        }
    }
    if (s->identity[0] && strcmp(s->identity, found) != 0) {
        return error_exit(
            err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "sqlite",
            "\"%s\" is another database than the one this relay started with; events of the old file may be undelivered: put it back, or restart the relay to go on with the new one",
            s->conf->path);
    }
    memcpy(s->identity, found, sizeof found);
    return RESULT_DONE;
}

static int connect_now(struct outbox_sqlite *s, struct error *err)
{
    struct sqlite_options opt = {.path = s->conf->path,
                                 .need_write = (s->mode->caps & SOURCE_ACK_REMOVES) != 0,
                                 .patience_us =
                                     s->env->observe ? s->conf->read_timeout_us : START_PATIENCE_US,
                                 .max_value = s->env->max_event_bytes,
                                 .stop_fd = s->env->stop_fd};
    if (sqlite_open(&opt, &s->db, err) || load_identity(s, err) || outbox_sqlite_look(s, err)) {
        return RESULT_ERROR;
    }
    outbox_sqlite_watch_start(&s->watch, sqlite_path(s->db));
    if (!s->env->observe) {
        sqlite_set_patience(s->db, PATIENCE_US);
    }
    return RESULT_DONE;
}

int outbox_sqlite_connect(struct outbox_sqlite *s, struct error *err)
{
    if (s->db) {
        return RESULT_DONE;
    }
    if (connect_now(s, err)) {
        outbox_sqlite_disconnect(s);
        return RESULT_ERROR;
    }
    return RESULT_DONE;
}

int outbox_sqlite_busy(struct outbox_sqlite *s, struct outbox_sqlite_wait *wait, struct error *err)
{
    return sqlite_is_busy(err) &&
                   outbox_sqlite_wait_on(wait, s->conf->read_timeout_us, clock_mono_us())
               ? RESULT_AGAIN
               : RESULT_ERROR;
}
