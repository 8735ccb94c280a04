/* Steps are small and have a pause between them, so that writers and vacuum come through. */
#include "daemon/pruning.h"

#include "audit/audit.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/poll_set.h"
#include "config/conf_ask.h"
#include "daemon/assembly.h"
#include "daemon/registry.h"

/* Of a step: it waits two seconds for a lock each time. */
enum { TRIES = 5 };

struct run {
    const struct pruning *p;
    const struct prune_ops *ops;
    void *prune;
    struct pruning_result *result;
};

void pruning_result_release(struct pruning_result *r)
{
    buf_release(&r->held);
    buf_release(&r->holders);
    buf_release(&r->advice);
}

/* True: stop_fd has become readable. */
static bool rest(const struct pruning *p, int64_t us)
{
    int64_t until = clock_mono_us() + us;
    do {
        struct poll_set set;
        poll_set_clear(&set);
        poll_set_deadline(&set, until);
        poll_set_add(&set, p->stop_fd, POLLIN);
        poll_set_wait(&set);
        if (p->stop_fd >= 0 && set.fds[set.count - 1].revents) {
            return true;
        }
    } while (clock_mono_us() < until);
    return false;
}

static int try_step(const struct run *r, struct prune_step *ret, struct error *err)
{
    int rc = RESULT_ERROR;
    for (int i = 0; i < TRIES; i++) {
        rc = r->ops->step(r->prune, ret, err);
        bool again = rc == RESULT_ERROR && err->class == ERROR_RETRY;
        if (!again || rest(r->p, r->p->pause_us)) {
            break;
        }
    }
    return rc;
}

static int take_steps(const struct run *r, struct error *err)
{
    struct prune_step step = {0};
    while (!step.ended) {
        if (rest(r->p, r->result->looked_at > 0 || step.told ? r->p->pause_us : 0)) {
            error_clear(err);
            return RESULT_AGAIN;
        }
        if (try_step(r, &step, err)) {
            return RESULT_ERROR;
        }
        fault_point("prune_after_step");
        r->result->looked_at += step.looked_at;
        r->result->removed += step.removed;
        if (step.told && r->p->tell) {
            r->p->tell(r->p->ctx, step.told);
        }
        if (r->p->progress) {
            r->p->progress(r->p->ctx, r->result->looked_at, r->result->removed);
        }
    }
    return RESULT_DONE;
}

static void add_held(void *ctx, const struct prune_held *held)
{
    struct pruning_result *r = ctx;
    buf_printf(&r->held, "%spipeline %s (%lld rows or more%s%s)", r->held.len > 0 ? "; " : "",
               held->pipeline, (long long)held->rows, held->why[0] ? ": " : "", held->why);
    buf_printf(&r->holders, "%s ", held->pipeline);
}

static int run(const struct pruning *p, const struct source_env *env, struct pruning_result *ret,
               struct error *err)
{
    struct run r = {.p = p, .ops = registry_source(p->conf->source->name)->prune, .result = ret};
    int rc = r.ops->open(p->conf->source_conf, env, &p->order, &r.prune, err);
    if (rc) {
        return rc;
    }
    rc = take_steps(&r, err);
    r.ops->held(r.prune, add_held, ret);
    if (rc == RESULT_DONE && !p->order.dry_run && r.ops->advise) {
        rc = r.ops->advise(r.prune, &ret->advice, err);
    }
    r.ops->close(r.prune);
    return rc;
}

int pruning_run(const struct pruning *p, struct pruning_result *ret, struct error *err)
{
    CLEANUP(buf_release) struct buf url = {0};
    struct store_env store_env;
    const struct store_ops *store = assembly_store(&store_env, &url, p->config, p->conf);
    const struct source_env env = {.pipeline = p->conf->name,
                                   .store = {.positions = store->positions,
                                             .dead_letters = store->dead_letters,
                                             .part = store_env.part},
                                   .stop_fd = p->stop_fd};
    return run(p, &env, ret, err);
}

void pruning_audit(const struct pruning *p, const struct pruning_result *r, const char *who,
                   struct audit *audit)
{
    CLEANUP(buf_release) struct buf after = {0};
    audit_text(&after, "table",
               conf_ask_text(p->conf->source->keys, p->conf->source_conf, "table"));
    audit_number(&after, "older_than_s", p->order.older_than_us / US_PER_SECOND);
    audit_number(&after, "removed", r->removed);
    const struct audit_line line = {
        .event = "prune", .pipeline = p->conf->name, .who = who, .after = &after};
    audit_write(audit, &line);
}
