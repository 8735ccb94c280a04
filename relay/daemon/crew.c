/* Starts, replaces and stops consumers. One that has changed is replaced only after its predecessor
 * has ended, as both would claim the same events. */
#include "daemon/crew.h"

#include "base/log.h"
#include "base/memory.h"
#include "consume/consumer.h"
#include "daemon/json_value.h"
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One run of one consumer. */
struct hand {
    struct generation *generation;
    const struct conf_consumer *conf;
    struct consumer *consumer;
    pthread_t thread;
    bool started;
    int end_fd, exit_code; /* exit_code: written by the thread before `ended` */
    _Atomic bool ended;
};

struct post {
    char *name;
    struct hand *now, *next, *staged; /* next: starts when now has ended; may be NULL each */
    bool doomed;                      /* is dropped when now has ended */
    uint64_t end_order;               /* how many had ended before it; 0: it has not */
};

struct crew {
    int end_fd;
    bool finishing; /* consumers end when they are idle */
    struct post **posts;
    size_t count;
    uint64_t ends;
};

struct crew *crew_new(int end_fd)
{
    struct crew *c = memory_need(calloc(1, sizeof *c));
    *c = (struct crew){.end_fd = end_fd};
    return c;
}

/* --- one hand --- */

static void hand_free(struct hand *h)
{
    if (!h) {
        return;
    }
    if (h->started) {
        pthread_join(h->thread, NULL);
    }
    consumer_free(h->consumer);
    generation_unref(h->generation);
    free(h);
}

static void *hand_main(void *arg)
{
    struct hand *h = arg;
    uint64_t one = 1;
    h->exit_code = consumer_run(h->consumer);
    int end_fd = h->end_fd;
    atomic_store(&h->ended, true);
    ssize_t n UNUSED = write(end_fd, &one, sizeof one);
    return NULL;
}

static void hand_start(struct hand *h, int end_fd)
{
    sigset_t all, old;
    h->end_fd = end_fd;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    h->started = pthread_create(&h->thread, NULL, hand_main, h) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!h->started) {
        log_write(LOG_ERROR, h->conf->name,
                  "no thread for the consumer; raise the limits of the process (TasksMax, "
                  "RLIMIT_NPROC, memory)");
        h->exit_code = EXIT_CODE_BUG;
        atomic_store(&h->ended, true);
    }
}

static bool running(const struct post *p)
{
    return p->now && !atomic_load(&p->now->ended);
}

/* --- all of them --- */

static void drop(struct crew *c, size_t i)
{
    struct post *p = c->posts[i];
    hand_free(p->now);
    hand_free(p->next);
    hand_free(p->staged);
    free(p->name);
    free(p);
    c->posts[i] = c->posts[--c->count];
}

void crew_free(struct crew *c)
{
    if (c) {
        while (c->count > 0) {
            drop(c, 0);
        }
        free(c->posts);
        free(c);
    }
}

static struct post *post_of(struct crew *c, const char *name)
{
    for (size_t i = 0; i < c->count; i++) {
        if (strcmp(c->posts[i]->name, name) == 0) {
            return c->posts[i];
        }
    }
    struct post *p = memory_need(calloc(1, sizeof *p));
    p->name = memory_need(strdup(name));
    c->posts = memory_need(realloc(c->posts, (c->count + 1) * sizeof(struct post *)));
    c->posts[c->count++] = p;
    return p;
}

/* True: it may go on as it is. One that has failed is started again. */
static bool unchanged(const struct post *p, const struct conf_consumer *conf)
{
    const struct hand *h = p->next ? p->next : p->now;
    return h && !p->doomed && strcmp(h->conf->fingerprint, conf->fingerprint) == 0 &&
           !(atomic_load(&h->ended) && h->exit_code != 0);
}

int crew_stage(struct crew *c, struct generation *g, struct error *err)
{
    const struct config *config = generation_config(g);
    for (size_t i = 0; i < config->consumers_count; i++) {
        const struct conf_consumer *conf = &config->consumers[i];
        struct post *p = post_of(c, conf->name);
        struct consumer *made = NULL;
        if (unchanged(p, conf)) {
            continue;
        }
        if (consumer_new(conf, c->finishing, true, &made, err)) {
            crew_unstage(c);
            return RESULT_ERROR;
        }
        p->staged = memory_need(calloc(1, sizeof *p->staged));
        p->staged->generation = generation_ref(g);
        p->staged->conf = conf;
        p->staged->consumer = made;
    }
    return RESULT_DONE;
}

void crew_unstage(struct crew *c)
{
    for (size_t i = c->count; i-- > 0;) {
        hand_free(c->posts[i]->staged);
        c->posts[i]->staged = NULL;
        if (!c->posts[i]->now && !c->posts[i]->next) {
            drop(c, i);
        }
    }
}

static bool named(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->consumers_count; i++) {
        if (strcmp(config->consumers[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

void crew_adopt(struct crew *c, struct generation *g)
{
    for (size_t i = 0; i < c->count; i++) {
        struct post *p = c->posts[i];
        p->doomed = !named(generation_config(g), p->name);
        if (p->staged || p->doomed) {
            hand_free(p->next);
            p->next = p->staged;
            p->staged = NULL;
            if (running(p)) {
                consumer_request_stop(p->now->consumer);
            }
        }
    }
    crew_reap(c);
}

void crew_reap(struct crew *c)
{
    for (size_t i = c->count; i-- > 0;) {
        struct post *p = c->posts[i];
        if (running(p)) {
            continue;
        }
        if (p->now && p->end_order == 0) {
            p->end_order = ++c->ends;
        }
        if (p->doomed) {
            drop(c, i);
        } else if (p->next) {
            hand_free(p->now);
            p->now = p->next;
            p->next = NULL;
            p->end_order = 0;
            hand_start(p->now, c->end_fd);
        }
    }
}

void crew_stop(struct crew *c)
{
    for (size_t i = 0; i < c->count; i++) {
        hand_free(c->posts[i]->next);
        c->posts[i]->next = NULL;
        if (running(c->posts[i])) {
            consumer_request_stop(c->posts[i]->now->consumer);
        }
    }
}

static void finish(const struct hand *h)
{
    if (h) {
        consumer_end_when_idle(h->consumer);
    }
}

void crew_finish(struct crew *c)
{
    for (size_t i = 0; !c->finishing && i < c->count; i++) {
        finish(c->posts[i]->now);
        finish(c->posts[i]->next);
    }
    c->finishing = true;
}

bool crew_ended(const struct crew *c)
{
    for (size_t i = 0; i < c->count; i++) {
        if (running(c->posts[i]) || c->posts[i]->next) {
            return false;
        }
    }
    return true;
}

int crew_exit_code(const struct crew *c)
{
    uint64_t first = UINT64_MAX;
    int code = EXIT_CODE_OK;
    for (size_t i = 0; i < c->count; i++) {
        const struct post *p = c->posts[i];
        if (p->now && atomic_load(&p->now->ended) && p->now->exit_code && p->end_order < first) {
            first = p->end_order;
            code = p->now->exit_code;
        }
    }
    return code;
}

static json_t *json_of(const char *name, const struct consumer_status *s)
{
    json_t *o = json_object();
    json_object_set_new(o, "name", json_string(name));
    json_object_set_new(o, "state", json_string(consumer_state_name(s->state)));
    json_object_set_new(o, "detail", json_text_or_null(s->detail));
    json_object_set_new(o, "applied", json_integer(s->applied));
    json_object_set_new(o, "seen", json_integer(s->seen));
    json_object_set_new(o, "dead_letters", json_integer(s->buried));
    json_object_set_new(o, "waiting", json_integer(s->waiting));
    json_object_set_new(o, "steps_back", json_integer(s->steps_back));
    return o;
}

json_t *crew_json(struct crew *c)
{
    json_t *list = json_array();
    for (size_t i = 0; i < c->count; i++) {
        struct consumer_status s;
        if (c->posts[i]->now) {
            consumer_status(c->posts[i]->now->consumer, &s);
            json_array_append_new(list, json_of(c->posts[i]->name, &s));
        }
    }
    return list;
}

static const struct {
    const char *name, *type, *help;
} samples[] = {
    {"applied_total", "counter", "Events that a consumer has applied"},
    {"seen_total", "counter", "Events that came again and were passed over"},
    {"dead_letters_total", "counter", "Events that became dead letters"},
    {"waiting_total", "counter", "Events that were put behind the dead letter of their key"},
    {"steps_back_total", "counter", "Events that came behind a later one of their key"},
    {"running", "gauge",
     "1 while the consumer applies events, 0 while it fails, is blocked or has "
     "ended"},
};

void crew_metrics(struct crew *c, struct buf *out)
{
    for (size_t k = 0; c->count > 0 && k < sizeof samples / sizeof *samples; k++) {
        buf_printf(out, "# HELP commitrelay_consumer_%s %s.\n# TYPE commitrelay_consumer_%s %s\n",
                   samples[k].name, samples[k].help, samples[k].name, samples[k].type);
        for (size_t i = 0; i < c->count; i++) {
            struct consumer_status s;
            if (!c->posts[i]->now) {
                continue;
            }
            consumer_status(c->posts[i]->now->consumer, &s);
            const int64_t values[] = {s.applied, s.seen,       s.buried,
                                      s.waiting, s.steps_back, s.state == CONSUMER_RUNNING};
            buf_printf(out, "commitrelay_consumer_%s{consumer=\"%s\"} %" PRId64 "\n",
                       samples[k].name, c->posts[i]->name, values[k]);
        }
    }
}
