/*
 * A sink under test, driven as the pipeline drives it: poll, collect, put what it takes, commit
 * when it should. Event n (from 1) has key k<n % 7>; whatever is told about an event is checked at
 * once against what a reader outside the relay can see.
 *
 * A sink <name> brings sinks/<name>.c with `const struct sink_kind sink_kind_<name>`.
 */
#pragma once

#include "contract/sink.h"

#include <stddef.h>

enum { RIG_EVENTS_MAX = 20000, RIG_KEYS = 7 };

struct rig;

/* What a sink needs around it, and how its data is read. */
struct sink_kind {
    void (*up)(struct rig *r);
    void (*down)(struct rig *r);
    /* Calls rig_saw for each event that has become visible since the last look, in order. */
    void (*look)(struct rig *r);
    void (*narrow)(struct rig *r); /* before it is opened: it shall take a few events at a time */
    void (*spoil)(struct rig *r, struct event *e); /* makes an event that can never be delivered */
    bool shows_later; /* what is durable can be read a moment later (the marks of a transaction) */
    bool commits;     /* it is opened so that it has SINK_COMMITS */
    const struct sink_kind *other; /* the same sink configured so that it behaves otherwise */
};

/* What is put together from the registry. */
struct sink_case {
    const struct sink_ops *ops;
    const struct sink_kind *kind;
};

struct rig {
    const struct sink_kind *kind;
    const struct sink_ops *ops;
    void *conf, *conf_memory;
    struct sink_env env;
    void *sink;
    unsigned caps; /* of the open sink */
    struct batch *batch;
    struct error err;
    struct sink_report report;
    struct sink_stored stored;     /* what the pipeline has saved */
    struct sink_recovery recovery; /* of the last rig_open */
    void *own;                     /* the kind's */
    char where[128];

    uint64_t token;  /* of events[0] since the last start */
    size_t put;      /* events[0..put) were taken or refused */
    size_t settled;  /* of those, how many were reported or refused */
    bool committing; /* SINK_COMMITS: nothing is put meanwhile */
    bool *done;      /* by index: reported delivered since the last start */
    bool *refused;   /* by index: poison */
    int *saw;        /* every event a reader has seen, in its order */
    size_t saw_count;
    bool *visible; /* by number */
};

int rig_up(void **state); /* *state is a struct sink_case; the sink is not opened */
int rig_down(void **state);

/* Opens, recovers and starts: a new process that goes on at this delivery number. */
void rig_open(struct rig *r, uint64_t next_number);
void rig_recover(struct rig *r); /* opens and recovers only */
void rig_start(struct rig *r, uint64_t next_number);
void rig_close(struct rig *r);

/* Adds n events to the batch. */
void rig_events(struct rig *r, size_t n);

/* Offers events [put, to) once; the number it took. A refused event is noted and passed over. */
size_t rig_offer(struct rig *r, size_t to);
/* Waits for a moment, collects, and checks each report. */
void rig_step(struct rig *r);
/* Puts everything there is and waits until all of it is reported. */
void rig_deliver(struct rig *r);
/* Begins a commit of all that was put, where the sink has such a thing. */
void rig_commit(struct rig *r);

/* --- for kinds --- */

/* The configuration with its defaults. */
void rig_conf_new(struct rig *r);
/* An event that no JSON line can hold. */
void rig_not_json(struct rig *r, struct event *e);
/* Sees the events of JSON lines with "id":"e<n>"; the last line may not be complete yet. Returns
 * the bytes used. */
size_t rig_read_lines(struct rig *r, const char *text, size_t len);
void rig_saw(struct rig *r, int number);

/* --- verdicts --- */

/* All events of the batch but the refused ones have been seen; of each key, in order. A resend may
 * repeat, but the last time counts. */
void assert_all_in_order(struct rig *r);
void assert_nothing_twice(struct rig *r);
