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
#include <stdlib.h>
#include <string.h>

struct member {
    char *name;
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

static struct member *find(const struct fleet *f, const char *name)
{
    for (size_t i = 0; i < f->count; i++) {
        if (strcmp(f->members[i]->name, name) == 0) {
            return f->members[i];
        }
    }
    return NULL;
}

static struct member *find_or_add(struct fleet *f, const char *name)
{
    struct member *m = find(f, name);
    if (!m) {
        m = memory_need(calloc(1, sizeof *m));
        m->name = memory_need(strdup(name));
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
                      const struct conf_pipeline *conf)
{
    const struct member *m = find(f, conf->name);
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

/* Makes an instance for each pipeline of the file that is new or changed, and starts none. */
static int stage(struct fleet *f, struct generation *g, struct instance **staged, struct error *err)
{
    const struct config *c = generation_config(g);
    for (size_t i = 0; i < c->pipelines_count; i++) {
        const struct conf_pipeline *conf = &c->pipelines[i];
        if (!chosen(f, conf->name) || unchanged(f, g, conf)) {
            continue;
        }
        struct member *m = find_or_add(f, conf->name);
        const struct instance_conf made_of = {.generation = g,
                                              .pipeline = conf,
                                              .metrics = &m->metrics,
                                              .until_idle = f->conf.until_idle,
                                              .audit = f->conf.audit};
        if (instance_new(&made_of, &staged[i], err)) {
            return RESULT_ERROR;
        }
    }
    return RESULT_DONE;
}

/* Takes over what `stage` has made. Cannot fail. */
static void commit(struct fleet *f, const struct config *c, struct instance **staged)
{
    for (size_t i = 0; i < f->count; i++) {
        struct member *m = f->members[i];
        m->doomed = !chosen(f, m->name) || !find_conf(c, m->name);
        if (m->doomed) {
            instance_free(m->next);
            m->next = NULL;
            stop(m);
        }
    }
    for (size_t i = 0; i < c->pipelines_count; i++) {
        if (staged[i]) {
            struct member *m = find(f, c->pipelines[i].name);
            instance_free(m->next);
            m->next = staged[i];
            staged[i] = NULL;
            stop(m);
        }
    }
    fleet_reap(f);
}

int fleet_apply(struct fleet *f, struct generation *g, struct error *err)
{
    const struct config *c = generation_config(g);
    if (check_chosen(f, c, err)) {
        return RESULT_ERROR;
    }
    for (size_t i = 0; i < c->pipelines_count; i++) {
        if (assembly_check_clash(c, i, err)) {
            return RESULT_ERROR;
        }
    }
    struct instance **staged =
        memory_need(calloc(c->pipelines_count + 1, sizeof(struct instance *)));
    int rc = stage(f, g, staged, err);
    if (rc == RESULT_DONE) {
        commit(f, c, staged);
    } else {
        for (size_t i = 0; i < c->pipelines_count; i++) {
            instance_free(staged[i]);
        }
        drop_unstarted(f);
    }
    free(staged);
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
    const struct member *m = find(f, name);
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
        row->metrics = &m->metrics;
        row->running = running(m);
        row->started_us = instance_started_us(m->now);
        row->store = instance_store(m->now);
        instance_status(m->now, &row->status);
    }
    *ret_count = f->count;
    return f->rows;
}
