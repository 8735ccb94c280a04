/*
 * The contract of a store: where the cursor, the control row and the dead letters of a pipeline are
 * kept, and who may write them. State is keyed (pipeline, part).
 *
 * One relay per pipeline: `start` takes the lock (a session advisory lock in PostgreSQL, a lock
 * file for SQLite) and a new epoch; every save is a compare-and-set on that epoch, so that a relay
 * that was overtaken saves nothing.
 *
 * An opened store is used by one thread. Functions may wait for the server, bounded by the timeouts
 * of store_env, except save/saved, which never do.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/poll_set.h"
#include "base/slice.h"
#include "contract/url_form.h"
#include <stdbool.h>
#include <stdint.h>

/* The part of a pipeline that is not divided into shards. */
#define STORE_WHOLE ""

/* Outlives the store. */
struct store_env {
    const char *url;      /* postgresql://..., a conninfo string, or sqlite:PATH */
    const char *pipeline; /* key */
    const char *part;     /* key, the shard; STORE_WHOLE today */
    int64_t connect_timeout_us, read_timeout_us;
    bool observe; /* a command: it has nothing else to do than to wait for a lock, read_timeout_us
                     long */
    int64_t
        lease_us; /* PostgreSQL: the lock of a relay that is silent for so long is free; 0: never */
    int stop_fd;
    bool create; /* sqlite: make a missing file (a store of its own); false: CONFIG/78 */
};

/* What is stored for a pipeline. `cursor.len == 0`: nothing yet. */
struct store_position {
    struct buf cursor;
    uint64_t delivered; /* running number of the last delivered event */
    int64_t epoch;
    int64_t saved_at_us; /* wall clock; TIME_NONE if never */
    char state[24];      /* last reported pipeline state */
    char detail[512];    /* and why */
    char origin[160];    /* (start) which database this is, a text for people in brackets behind
                            what identifies it; "" if that cannot be told */
    bool foreign;        /* (start) of another cluster; a `position set` that waits will mend it */
    bool server_restarted; /* (start) since the last start, and forgot what was not durable */
    bool absent;           /* (observe) no relay has made its tables or its file yet */
    bool locked;           /* (observe) a relay holds the lock now */
    char holder[160];      /* (observe) who holds it, for people; "" if nobody */
};

enum store_command { STORE_NO_COMMAND, STORE_SET_POSITION, STORE_PAUSE, STORE_RESUME };

enum { STORE_ARGUMENT_SIZE = 512 };

/* The control row: what a command asked of the running daemon. */
struct store_control {
    int64_t id;
    enum store_command command;
    char argument[STORE_ARGUMENT_SIZE]; /* SET_POSITION: beginning | now | an event position */
    bool acknowledged;
    char answer[512]; /* what the daemon did, or why not */
};

struct store_dead_letter {
    int64_t id; /* given by the store */
    struct slice event_id, position, topic, key, payload, headers /* JSON object */;
    struct slice aggregatetype, aggregateid, type, created_at;
    struct slice payload_kind; /* json | text | bytes */
    struct slice reason, code; /* error text, the origin's code */
    int64_t attempts;
    int64_t first_failed_us, last_failed_us; /* wall clock */
    char state[16];                          /* "dead" */
};

struct store_ops {
    const char *name;
    struct url_form url;
    /* Its tables, as a statement in the same database names them; rows have the columns pipeline
     * and part. For source_store. */
    const char *positions, *dead_letters;
    bool leases; /* its lock is lost when store_env.lease_us have passed in silence */

    int (*open)(const struct store_env *env, void **ret_store, struct error *err);

    /* Connects, makes its own tables if they are missing (no privilege: CONFIG/77 with the SQL),
     * checks the cluster's system identifier, takes the lock, raises the epoch, loads. AGAIN:
     * another relay holds the lock (who: err->text is filled even so). Called again after a
     * failure. */
    int (*start)(void *store, struct store_position *ret, struct error *err);

    /* The same without lock, epoch or tables made: for status and other commands. A missing table
     * reads as nothing stored. */
    int (*observe)(void *store, struct store_position *ret, struct error *err);

    void (*poll_fds)(void *store, struct poll_set *set);

    /* Begins to save; the texts are copied. At most one save at a time. */
    int (*save)(void *store, struct slice cursor, uint64_t delivered, struct error *err);
    /* DONE once the save is durable, AGAIN while it is not; DONE too if none was begun. An error
     * when the epoch was overtaken: RETRY where the lock decides who goes on (PostgreSQL), else
     * FATAL/69. */
    int (*saved)(void *store, struct error *err);

    /* Records the pipeline's state for `status`; not durable in a hurry, not fenced in order.
     * AGAIN: somebody else's lock was in the way and nothing is kept; the caller asks again, with
     * the state there is then. */
    int (*report_state)(void *store, const char *state, const char *detail, struct error *err);

    /* The oldest command not yet acknowledged; command STORE_NO_COMMAND if there is none. */
    int (*control_take)(void *store, struct store_control *ret, struct error *err);
    int (*control_answer)(void *store, int64_t id, const char *answer, struct error *err);
    /* For commands: writes the control row; looks at it again. */
    int (*control_put)(void *store, enum store_command command, const char *argument,
                       int64_t *ret_id, struct error *err);
    int (*control_look)(void *store, int64_t id, struct store_control *ret, struct error *err);

    /* The paused flag survives restarts. */
    int (*set_paused)(void *store, bool paused, struct error *err);
    int (*get_paused)(void *store, bool *ret, struct error *err);

    /* Durable when it returns. The same (event_id, position) twice is one dead letter. */
    int (*dead_letter_put)(void *store, const struct store_dead_letter *d, struct error *err);
    int (*dead_letter_count)(void *store, int64_t *ret, struct error *err);
    /* Calls `each` for every dead letter in id order (id 0: all; else that one); slices live during
     * the call. An answer of `each` other than 0 ends the list and is passed on. */
    int (*dead_letter_list)(void *store, int64_t id,
                            int (*each)(void *ctx, const struct store_dead_letter *d), void *ctx,
                            struct error *err);

    void (*close)(void *store);

    /* Optional, `check --connect`: has the relay the rights that a store needs? Waits. Reports one
     * finding per fault. Not started before. */
    int (*check)(void *store, finding_report *report, void *ctx, struct error *err);
};
