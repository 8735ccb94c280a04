/*
 * `check --connect`: connects to each server, and to the address, without sending anything.
 */
#include "sink/amqp/check.h"

#include <stdio.h>

static void ignore(void *ctx, uint64_t token, const struct error *refusal)
{
    (void)ctx, (void)token, (void)refusal;
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

void amqp_check(const struct amqp_conf *c, const struct amqp_servers *servers, const char *fixed,
                const struct sink_env *env, finding_report *report, void *ctx)
{
    struct error err;
    for (size_t i = 0; i < servers->count && !stopped(env); i++) {
        struct amqp_servers one = {.items = &servers->items[i], .count = 1, .tls = servers->tls};
        struct amqp_link l = {
            .conf = c, .servers = &one, .env = env, .fixed = fixed, .answer = ignore};
        amqp_link_init(&l);
        if (wait_until_open(&l, &err) == RESULT_ERROR) {
            report(ctx, err.exit_code, err.text, "");
        }
        amqp_link_release(&l);
    }
}
