/*
 * A source under test in one of its modes, driven as the pipeline drives it: poll, then read.
 * Events have numbers: n is the tail of the event id and of the payload.
 */
#pragma once

#include "outbox.h"

#include "contract/source.h"

#include <stddef.h>

enum { SOURCE_GOT_MAX = 2048 };

/* What is put together from the registry: one source in one mode. */
struct source_case {
    const struct source_ops *ops;
    const struct outbox_kind *kind;
    const char *mode;
    const char *server;
};

/* An event that came, kept beyond its batch. */
struct got {
    int number;
    char key[16], position[32], row_key[64], id[48], cursor[512];
};

struct world {
    const struct source_case *c;
    const struct source_ops *ops;
    struct outbox outbox;
    void *conf, *conf_memory;
    struct source_env env;
    void *source;
    unsigned caps;
    struct batch *batch; /* the last read's */
    struct error err;
    struct got got[SOURCE_GOT_MAX]; /* since the last world_forget */
    size_t got_count;
};

int world_up(void **state); /* *state is the struct source_case */
int world_down(void **state);

bool world_acks(const struct world *w);

/* Answers of the source, for the tests of refusals. `cursor` NULL: none is stored. */
int world_try_start(struct world *w, const char *cursor, int64_t epoch);
/* The rest fail the test when the source does. */
void world_start(struct world *w, const char *cursor);
/* A new process: the source is closed, opened and started. */
void world_restart(struct world *w, const char *cursor);

void world_sql(struct world *w, unsigned session, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Sleeps as the pipeline would, no longer than until `until`, and tends. -1: see w->err. */
int world_wait(struct world *w, int64_t until);

/* Inserts event n under a key; false: refused because the other session writes. */
bool world_try_emit(struct world *w, unsigned session, int n, const char *key);
void world_emit(struct world *w, int n, const char *key);
/* Commits events from..to, all of key "k". */
void world_emit_range(struct world *w, int from, int to);

/* One read, waited for: w->batch holds what it gave, w->got is added to. Answers DONE or -1. */
int world_try_read(struct world *w, size_t max_events, size_t max_bytes);
/* The same where it must work; the number of events. */
size_t world_read(struct world *w, size_t max_events, size_t max_bytes);
/* The same where something is committed: a server that sends by itself is waited for. */
size_t world_read_some(struct world *w, size_t max_events, size_t max_bytes);
/* Reads until two looks in a row find nothing: the first may have begun before the last commit; or,
 * where the server sends by itself, until it has sent what was committed before the call. */
void world_drain(struct world *w);
/* Whether --until-idle would end now. */
bool world_idle(struct world *w);
void world_forget(struct world *w);

/* Numbers that came since the last look at them, in order, a blank between: drains first. */
#define assert_comes(w, text)             \
    do {                                  \
        world_drain(w);                   \
        char came_[8 * SOURCE_GOT_MAX];   \
        world_numbers((w), came_);        \
        assert_string_equal(came_, text); \
    } while (0)
void world_numbers(struct world *w, char *out); /* and forgets them */

/* Acknowledges got[from..to); nothing in modes without keys. -1: see w->err. */
int world_try_ack(struct world *w, size_t from, size_t to);
void world_ack(struct world *w, size_t from, size_t to);
/* Stops with got[0..delivered) delivered and saved, everything else not, and goes on in a new
 * process. Forgets what came. */
void world_go_on(struct world *w, size_t delivered);
