/*
 * A consumer: takes events from a source and applies each once. It runs on the caller's thread,
 * with a thread more for each of its lanes (`workers`).
 */
#pragma once

#include "base/error.h"
#include "config/config.h"

struct consumer;

enum consumer_state {
    CONSUMER_STARTING,
    CONSUMER_RUNNING,
    CONSUMER_RETRYING, /* a failure; it tries again */
    CONSUMER_BLOCKED,  /* somebody has to help; it tries again now and then */
    CONSUMER_STOPPING,
    CONSUMER_STOPPED,
    CONSUMER_FAILED
};

struct consumer_status {
    enum consumer_state state;
    char detail[256];   /* why, if not all is well */
    int64_t applied;    /* events that were applied now */
    int64_t seen;       /* that had been applied before */
    int64_t buried;     /* that became dead letters */
    int64_t waiting;    /* that were put behind one */
    int64_t steps_back; /* that came behind a later one of their key */
};

/* `conf` outlives it. until_idle: as if consumer_end_when_idle had been called. patient: a source
 * that is missing at the start is waited for, since a pipeline beside it may make it. No I/O.
 * CONFIG: the settings do not fit each other. FATAL/70: no descriptor is left. */
int consumer_new(const struct conf_consumer *conf, bool until_idle, bool patient,
                 struct consumer **ret, struct error *err) MUST_CHECK;
/* Not while it runs. NULL is fine. */
void consumer_free(struct consumer *c);

/* For `check --connect`: looks at the source and the inbox's database, and changes nothing. Gives
 * both outcomes: *ret_from and *ret_inbox are ERROR_NONE where all is well. *ret_missing: the inbox
 * or the consumer's own tables have to be made. Waits. */
void consumer_look(const struct conf_consumer *conf, struct error *ret_from,
                   struct error *ret_inbox, bool *ret_missing);

/* Runs until it is asked to stop, has failed, or, if it is to end when it is idle, has applied all
 * that is there. Returns the exit code. */
int consumer_run(struct consumer *c) MUST_CHECK;

/* From now on it ends once it has applied all that is there, or fails for longer than half a
 * minute, or needs help. Any thread; may be called again. */
void consumer_end_when_idle(struct consumer *c);

/* Asks it to apply what is under way and to end. Any thread; may be called again. */
void consumer_request_stop(struct consumer *c);
/* Any thread. */
void consumer_status(struct consumer *c, struct consumer_status *ret);
const char *consumer_state_name(enum consumer_state state); /* static */
