/*
 * Starts, replaces and stops pipelines. A reload (fleet_apply) has two steps: `stage` makes an
 * instance for each new or changed pipeline, which finds all mistakes; `commit` then stops and
 * replaces. So a mistake in the file disturbs nothing that runs. A pipeline is replaced only after
 * its predecessor has ended, because both would need the same lock.
 */
#include "daemon/fleet.h"

#include "base/log.h"
#include "base/memory.h"
#include "daemon/assembly.h"
#include "daemon/membership.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct member {
    char *name;
    char part[PART_SIZE]; /* of the pipeline: STORE_WHOLE, or one of its shards */
    struct metrics metrics;
    struct instance *now;  /* NULL only before its first start */
    struct instance *next; /* starts when `now` has ended */
    bool stopping;         /* `now` was told to stop, to be replaced or for good */
    bool doomed;           /* is dropped when `now` has ended */
    uint64_t end_order;    /* `now` was the n-th instance to end; 0: it runs */
};

struct fleet {
    struct fleet_conf conf;
    struct member **members; /* each on the heap, since threads have pointers to their metrics */
    size_t count;
    uint64_t ends;           /* how many instances have ended so far */
    struct report_row *rows; /* what fleet_rows gave last */
};

struct fleet *fleet_new(const struct fleet_conf *conf)
{
    struct fleet *f = memory_need(calloc(1, sizeof *f));
    f->conf = *conf;
    return f;
}

static void member_free(struct member *m)
{
    instance_free(m->now);
    instance_free(m->next);
    topic_counts_free(m->metrics.topics);
    free(m->name);
    free(m);
}

void fleet_free(struct fleet *f)
{
    if (!f) {
        return;
    }
    for (size_t i = 0; i < f->count; i++) {
        member_free(f->members[i]);
    }
    free(f->members);
    free(f->rows);
    free(f);
}

static bool running(const struct member *m)
{
    return m->now && !instance_ended(m->now);
}

static struct member *find(const struct fleet *f, const char *name, const char *part)
{
    for (size_t i = 0; i < f->count; i++) {
        if (strcmp(f->members[i]->name, name) == 0 && strcmp(f->members[i]->part, part) == 0) {
            return f->members[i];
        }
    }
    return NULL;
}

static struct member *find_or_add(struct fleet *f, const char *name, const char *part)
{
    struct member *m = find(f, name, part);
    if (!m) {
        m = memory_need(calloc(1, sizeof *m));
        m->name = memory_need(strdup(name));
        snprintf(m->part, sizeof m->part, "%s", part);
        metrics_init(&m->metrics);
        m->metrics.topics = topic_counts_new();
        f->members = memory_need(realloc(f->members, (f->count + 1) * sizeof(struct member *)));
        f->members[f->count++] = m;
    }
    return m;
}

static void drop(struct fleet *f, size_t i)
{
    member_free(f->members[i]);
    memmove(f->members + i, f->members + i + 1, (f->count - i - 1) * sizeof(struct member *));
    f->count--;
}

static void stop(struct member *m)
{
    if (running(m)) {
        instance_stop(m->now);
        m->stopping = true;
    }
}

/* Starts `next` if it waits and `now` has ended. */
static void advance(struct fleet *f, struct member *m)
{
    struct error err;
    if (!m->next || running(m)) {
        return;
    }
    instance_free(m->now);
    m->now = m->next;
    m->next = NULL;
    m->stopping = false;
    m->end_order = 0;
    if (instance_start(m->now, f->conf.end_fd, &err)) {
        log_error(LOG_ERROR, m->name, "not started", &err);
        m->end_order = ++f->ends;
    }
}

static bool chosen(const struct fleet *f, const char *name)
{
    for (size_t i = 0; i < f->conf.only_count; i++) {
        if (strcmp(f->conf.only[i], name) == 0) {
            return true;
        }
    }
    return f->conf.only_count == 0;
}

static const struct conf_pipeline *find_conf(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->pipelines_count; i++) {
        if (strcmp(c->pipelines[i].name, name) == 0) {
            return &c->pipelines[i];
        }
    }
    return NULL;
}

static int check_chosen(const struct fleet *f, const struct config *c, struct error *err)
{
    for (size_t i = 0; i < f->conf.only_count; i++) {
        if (!find_conf(c, f->conf.only[i])) {
            return error_set(
                err, ERROR_CONFIG, "config",
                "%s: no pipeline %s, which --pipeline asks for; put it back into the file, or start without it",
                c->file, f->conf.only[i]);
        }
    }
    return RESULT_DONE;
}

/* True if the pipeline may go on as it is. One that has failed may not: a reload restarts it. */
static bool unchanged(const struct fleet *f, const struct generation *g,
                      const struct conf_pipeline *conf, const char *part)
{
    const struct member *m = find(f, conf->name, part);
    if (!m) {
        return false;
    }
    if (m->next) {
        return instance_same(m->next, g, conf);
    }
    bool failed = instance_ended(m->now) && instance_exit_code(m->now) != 0;
    return !m->stopping && !failed && instance_same(m->now, g, conf);
}

/* Drops the members that a failed `stage` has added. */
static void drop_unstarted(struct fleet *f)
{
    for (size_t i = f->count; i-- > 0;) {
        if (!f->members[i]->now && !f->members[i]->next) {
            drop(f, i);
        }
    }
}

/* An instance that was made and is not started. NULL: the part goes on as it is. */
struct staged {
    const struct conf_pipeline *conf;
    char part[PART_SIZE];
    struct instance *instance;
};

struct stage {
    struct staged *made;
    size_t count;
};

static int stage_part(struct fleet *f, struct generation *g, struct staged *to,
                      struct membership *membership, struct error *err)
{
    struct member *m = find_or_add(f, to->conf->name, to->part);
    const struct instance_conf made_of = {.generation = g,
                                          .pipeline = to->conf,
                                          .part = to->part,
                                          .membership = membership,
                                          .metrics = &m->metrics,
                                          .until_idle = f->conf.until_idle,
                                          .audit = f->conf.audit};
    return instance_new(&made_of, &to->instance, err);
}

/* The parts of one pipeline. One that has ended of itself is made anew alone, with a membership of
 * its own: two of one process share like those of two. */
static int stage_parts(struct fleet *f, struct generation *g, const struct conf_pipeline *conf,
                       struct stage *s, struct error *err)
{
    struct membership *membership = NULL;
    int of = membership_shards(conf), rc = RESULT_DONE;
    s->made = memory_need(realloc(s->made, (s->count + (size_t)of) * sizeof *s->made));
    for (int i = 0; i < of && rc == RESULT_DONE; i++) {
        struct staged *to = &s->made[s->count++];
        *to = (struct staged){.conf = conf};
        part_text((struct part){i, of}, to->part);
        if (unchanged(f, g, conf, to->part)) {
            continue;
        }
        if (!membership && of > 1) {
            rc = membership_new(generation_config(g), conf, &membership, err);
        }
        rc = rc ? rc : stage_part(f, g, to, membership, err);
    }
    membership_unref(membership); /* the instances have theirs */
    return rc;
}

/* Makes an instance for each part of a pipeline of the file that is new or changed, and starts
 * none. */
static int stage(struct fleet *f, struct generation *g, struct stage *s, struct error *err)
{
    const struct config *c = generation_config(g);
    for (size_t i = 0; i < c->pipelines_count; i++) {
        if (chosen(f, c->pipelines[i].name) && stage_parts(f, g, &c->pipelines[i], s, err)) {
            return RESULT_ERROR;
        }
    }
    return RESULT_DONE;
}

static bool is_staged(const struct stage *s, const struct member *m)
{
    for (size_t i = 0; i < s->count; i++) {
        if (strcmp(s->made[i].conf->name, m->name) == 0 && strcmp(s->made[i].part, m->part) == 0) {
            return true;
        }
    }
    return false;
}

/* Takes over what `stage` has made. Cannot fail. What it did not go through is not in the file any
 * more. */
static void commit(struct fleet *f, struct stage *s)
{
    for (size_t i = 0; i < f->count; i++) {
        struct member *m = f->members[i];
        m->doomed = !is_staged(s, m);
        if (m->doomed) {
            instance_free(m->next);
            m->next = NULL;
            stop(m);
        }
    }
    for (size_t i = 0; i < s->count; i++) {
        if (s->made[i].instance) {
            struct member *m = find(f, s->made[i].conf->name, s->made[i].part);
            instance_free(m->next);
            m->next = s->made[i].instance;
            stop(m);
        }
    }
    fleet_reap(f);
}

int fleet_apply(struct fleet *f, struct generation *g, struct error *err)
{
    const struct config *c = generation_config(g);
    struct stage s = {0};
    if (check_chosen(f, c, err)) {
        return RESULT_ERROR;
    }
    for (size_t i = 0; i < c->pipelines_count; i++) {
        if (assembly_check_clash(c, i, err)) {
            return RESULT_ERROR;
        }
    }
    int rc = stage(f, g, &s, err);
    if (rc == RESULT_DONE) {
        commit(f, &s);
    } else {
        for (size_t i = 0; i < s.count; i++) {
            instance_free(s.made[i].instance);
        }
        drop_unstarted(f);
    }
    free(s.made);
    return rc;
}

void fleet_reap(struct fleet *f)
{
    for (size_t i = f->count; i-- > 0;) {
        struct member *m = f->members[i];
        if (m->now && m->end_order == 0 && instance_ended(m->now)) {
            m->end_order = ++f->ends;
        }
        if (m->doomed && !running(m)) {
            drop(f, i);
        } else {
            advance(f, m);
        }
    }
}

void fleet_stop(struct fleet *f)
{
    for (size_t i = 0; i < f->count; i++) {
        instance_free(f->members[i]->next);
        f->members[i]->next = NULL;
        stop(f->members[i]);
    }
}

bool fleet_ended(const struct fleet *f)
{
    for (size_t i = 0; i < f->count; i++) {
        if (running(f->members[i]) || f->members[i]->next) {
            return false;
        }
    }
    return true;
}

int fleet_exit_code(const struct fleet *f)
{
    uint64_t first = UINT64_MAX;
    int code = EXIT_CODE_OK;
    for (size_t i = 0; i < f->count; i++) {
        const struct member *m = f->members[i];
        if (m->now && instance_ended(m->now) && instance_exit_code(m->now) != 0 &&
            m->end_order < first) {
            first = m->end_order;
            code = instance_exit_code(m->now);
        }
    }
    return code;
}

enum instance_order fleet_order(struct fleet *f, const char *name, enum store_command command,
                                const char *argument, const char *who, int64_t *ret_id)
{
    const struct member *m = find(f, name, STORE_WHOLE);
    return m && running(m) ? instance_order(m->now, command, argument, who, ret_id) : INSTANCE_GONE;
}

const struct report_row *fleet_rows(struct fleet *f, size_t *ret_count)
{
    free(f->rows);
    f->rows = memory_need(calloc(f->count + 1, sizeof *f->rows));
    for (size_t i = 0; i < f->count; i++) {
        struct member *m = f->members[i];
        struct report_row *row = &f->rows[i];
        row->name = m->name;
        row->part = m->part;
        row->metrics = &m->metrics;
        row->running = running(m);
        row->started_us = instance_started_us(m->now);
        row->store = instance_store(m->now);
        instance_status(m->now, &row->status);
    }
    *ret_count = f->count;
    return f->rows;
}
