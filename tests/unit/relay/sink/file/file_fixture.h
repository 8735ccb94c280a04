/* A file sink on a real directory of its own, for the tests of the file sink. */
#pragma once

#include "config/config.h"
#include "contract/sink.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

extern const struct sink_ops sink_file;

struct fixture {
    char root[64]; /* removed at the end */
    char dir[96];  /* sink.dir; not made */
    void *conf, *conf_memory;
    char *dir_value; /* what the configuration points to */
    struct sink_env env;
    void *sink;
    struct sink_stored stored;     /* what the pipeline has saved */
    struct sink_recovery recovery; /* of the last fixture_open */
    struct batch *batch;
    uint64_t token;
    size_t put; /* events of the batch that were taken */
};

static inline void *field_in(const struct conf_key *keys, void *base, const char *name)
{
    while (strcmp(keys->name, name) != 0) {
        keys++;
    }
    return (char *)base + keys->offset;
}

static inline void *fixture_conf(struct fixture *f, const char *name)
{
    return field_in(sink_file.keys, f->conf, name);
}

/* The key `name` of a group. */
static inline void *fixture_key(struct fixture *f, const char *group, const char *name)
{
    const struct conf_key *k = sink_file.keys;
    while (strcmp(k->name, group) != 0) {
        k++;
    }
    return field_in(k->group, (char *)f->conf + k->offset, name);
}

static inline int64_t *fixture_rotate(struct fixture *f, const char *name)
{
    return fixture_key(f, "rotate", name);
}

/* sink.columns: words only. */
static inline void set_columns(struct fixture *f, char **names, size_t n)
{
    struct conf_named_list *columns = fixture_conf(f, "columns");
    *columns = (struct conf_named_list){.words = {.items = names, .count = n, .given = true}};
}

/* The sink refuses its configuration or its directory: CONFIG/78, with this in the text. */
static inline void assert_refused(struct fixture *f, const char *fragment)
{
    struct error err;
    size_t max;
    void *sink = NULL;
    int rc = sink_file.open(f->conf, &f->env, &sink, &max, &err);
    if (!rc) {
        rc = sink_file.recover(sink, &f->stored, &f->recovery, &err);
    }
    assert_int_equal(rc, RESULT_ERROR);
    assert_int_equal(err.class, ERROR_CONFIG);
    assert_int_equal(err.exit_code, EXIT_CODE_CONFIG);
    assert_non_null(strstr(err.text, fragment));
    sink_file.close(sink);
}

static inline void fixture_init(struct fixture *f)
{
    struct error err;
    *f = (struct fixture){.token = 1000, .stored = {.origin = ""}};
    strcpy(f->root, "/tmp/cr-test-file-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    snprintf(f->dir, sizeof f->dir, "%s/out", f->root);
    f->conf = calloc(1, sink_file.conf_size);
    assert_int_equal(config_defaults(sink_file.keys, f->conf, &f->conf_memory, &err), RESULT_DONE);
    f->dir_value = f->dir;
    memcpy(fixture_conf(f, "dir"), &f->dir_value, sizeof f->dir_value);
    f->env = (struct sink_env){.pipeline = "orders", .max_in_flight = 10000, .stop_fd = -1};
    f->batch = batch_new();
}

static inline void fixture_close(struct fixture *f)
{
    sink_file.close(f->sink);
    f->sink = NULL;
    buf_release(&f->recovery.cursor);
    buf_release(&f->recovery.last_position);
    buf_release(&f->recovery.last_id);
    arena_release(&f->recovery.arena);
    f->recovery = (struct sink_recovery){0};
}

static inline void fixture_end(struct fixture *f)
{
    char command[128];
    fixture_close(f);
    batch_free(f->batch);
    config_defaults_free(f->conf_memory);
    free(f->conf);
    snprintf(command, sizeof command, "rm -rf %s", f->root);
    assert_int_equal(system(command), 0);
}

static inline int fixture_recover(struct fixture *f, struct error *err)
{
    size_t max;
    fixture_close(f);
    assert_int_equal(sink_file.open(f->conf, &f->env, &f->sink, &max, err), RESULT_DONE);
    return sink_file.recover(f->sink, &f->stored, &f->recovery, err);
}

/* A new sink, as after a restart of the relay. */
static inline void fixture_open(struct fixture *f, uint64_t next_number)
{
    struct error err;
    f->stored.delivered = next_number - 1;
    int rc = fixture_recover(f, &err);
    if (rc) {
        fail_msg("recover: %s", err.text);
    }
    rc = sink_file.start(f->sink, next_number, &err);
    if (rc) {
        fail_msg("start: %s", err.text);
    }
}

/* Event n (from 1): id-n, position n, payload {"n":n,"pad":"xx.."}. */
static inline void fixture_events(struct fixture *f, size_t n, size_t pad)
{
    batch_reset(f->batch);
    f->put = 0;
    for (size_t i = 1; i <= n; i++) {
        struct event *e = batch_add(f->batch);
        struct arena *a = &f->batch->arena;
        char text[32];
        CLEANUP(buf_release) struct buf payload = {0};
        snprintf(text, sizeof text, "id-%zu", i);
        e->id = arena_copy(a, slice_from(text));
        e->position = arena_copy(a, slice_from(text + 3));
        e->type = SLICE_LITERAL("placed");
        e->aggregatetype = SLICE_LITERAL("order");
        e->aggregateid = e->key = SLICE_LITERAL("o 1");
        e->topic = SLICE_LITERAL("outbox.event.order");
        buf_printf(&payload, "{\"n\":%zu,\"pad\":\"%0*d\"}", i, (int)pad, 0);
        e->payload = arena_copy(a, buf_slice(&payload));
        e->created_at_us = INT64_C(1763719200123456);
    }
}

/* Puts what the sink takes of the next `n` events. */
static inline size_t fixture_put(struct fixture *f, size_t n)
{
    struct error err;
    size_t taken = 0;
    size_t to = f->put + n < f->batch->count ? f->put + n : f->batch->count;
    int rc = sink_file.put(f->sink, f->batch, f->put, to, f->token, &taken, &err);
    if (rc) {
        fail_msg("put: %s", err.text);
    }
    f->put += taken;
    f->token += taken;
    return taken;
}

/* Commits with "cursor-<n>" and the keys row-1 and row-2 (with a NUL and a newline). -1: as collect
 * answered. */
static inline int fixture_commit(struct fixture *f, size_t expected, struct error *err)
{
    char cursor[32];
    static struct sink_report report;
    struct slice keys[] = {SLICE_LITERAL("row-1"), SLICE_LITERAL("row\n\0-2")};
    const struct event *last = &f->batch->events[f->put - 1];
    snprintf(cursor, sizeof cursor, "cursor-%zu", f->put);
    struct sink_commit c = {.cursor = slice_from(cursor),
                            .keys = keys,
                            .keys_count = 2,
                            .last_position = last->position,
                            .last_id = last->id};
    assert_int_equal(sink_file.commit(f->sink, &c, err), RESULT_DONE);
    size_t delivered = 0;
    while (delivered < expected) {
        struct poll_set set;
        poll_set_clear(&set);
        poll_set_deadline(&set, clock_mono_us() + 180 * US_PER_SECOND);
        sink_file.poll_fds(f->sink, &set);
        poll_set_wait(&set);
        report.count = 0;
        if (sink_file.collect(f->sink, &report, err)) {
            return RESULT_ERROR;
        }
        for (size_t i = 0; i < report.count; i++, delivered++) {
            assert_int_equal(report.results[i].token, f->token - expected + delivered);
            assert_int_equal(report.results[i].outcome, SINK_DELIVERED);
        }
    }
    assert_int_equal(delivered, expected);
    return RESULT_DONE;
}

static inline void fixture_batch(struct fixture *f, size_t n)
{
    struct error err;
    assert_int_equal(fixture_put(f, n), n);
    if (fixture_commit(f, n, &err)) {
        fail_msg("commit: %s", err.text);
    }
}

static inline void fixture_path(const struct fixture *f, const char *name, char out[256])
{
    snprintf(out, 256, "%s/%s", f->dir, name);
}

static inline void read_file(const struct fixture *f, const char *name, struct buf *out)
{
    char path[256], bytes[4096];
    fixture_path(f, name, path);
    FILE *file = fopen(path, "re");
    if (!file) {
        fail_msg("no file %s", path);
    }
    for (size_t n; (n = fread(bytes, 1, sizeof bytes, file)) > 0;) {
        buf_add(out, bytes, n);
    }
    fclose(file);
}

static inline void write_file(const struct fixture *f, const char *name, const char *text)
{
    char path[256];
    fixture_path(f, name, path);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* The names in the directory but .commitrelay, sorted, a blank behind each. */
static inline void assert_dir_holds(const struct fixture *f, const char *expected)
{
    char command[256], names[2048];
    snprintf(command, sizeof command,
             "cd %s && LC_ALL=C ls -A | grep -v '^.commitrelay$' | tr '\\n' ' '", f->dir);
    FILE *p = popen(command, "re");
    assert_non_null(p);
    names[fread(names, 1, sizeof names - 1, p)] = '\0';
    pclose(p);
    assert_string_equal(names, expected);
}
