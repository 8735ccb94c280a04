/*
 * `check --connect`: connects to each server, and to the address, without sending anything.
 */
#include "sink/amqp/check.h"

#include <stdio.h>

struct look {
    finding_report *report;
    void *ctx;
};

static void ignore(void *ctx, uint64_t token, const struct error *refusal)
{
    (void)ctx, (void)token, (void)refusal;
}

/* A queue that the user may not look at is a finding here; a relay logs it. */
static void take_note(void *ctx, int level, const char *text)
{
    struct look *look = ctx;
    (void)level;
    look->report(look->ctx, 0, text, "");
}

static bool stopped(const struct sink_env *env)
{
    struct pollfd stop = {.fd = env->stop_fd, .events = POLLIN};
    return env->stop_fd >= 0 && poll(&stop, 1, 0) > 0;
}

static int wait_until_open(struct amqp_link *l, struct error *err)
{
    int rc;
    while ((rc = amqp_link_open(l, err)) == RESULT_AGAIN && !stopped(l->env)) {
        struct poll_set set;
        poll_set_clear(&set);
        poll_set_deadline(&set, clock_mono_us() + 100 * US_PER_MS);
        amqp_link_poll_fds(l, &set);
        poll_set_wait(&set);
    }
    return rc;
}

static void look_at(const struct amqp_conf *c, const struct amqp_servers *one, const char *fixed,
                    const struct sink_env *env, struct look *look)
{
    struct error err;
    struct sink_env mine = *env;
    mine.note = take_note;
    mine.note_ctx = look;
    struct amqp_link l = {
        .conf = c, .servers = one, .env = &mine, .fixed = fixed, .answer = ignore};
    amqp_link_init(&l);
    if (wait_until_open(&l, &err) == RESULT_ERROR) {
        look->report(look->ctx, err.exit_code, err.text, "");
    }
    amqp_link_release(&l);
}

void amqp_check(const struct amqp_conf *c, const struct amqp_servers *servers, const char *fixed,
                const struct sink_env *env, finding_report *report, void *ctx)
{
    struct look look = {report, ctx};
    for (size_t i = 0; i < servers->count && !stopped(env); i++) {
        struct amqp_servers one = {.items = &servers->items[i], .count = 1, .tls = servers->tls};
        look_at(c, &one, fixed, env, &look);
    }
}
