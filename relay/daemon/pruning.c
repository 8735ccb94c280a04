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
/* The store's mark is good for a minute (store_ops.note_pruned). */
static const int64_t NOTE_EVERY_US = 20 * US_PER_SECOND;

struct run {
    const struct pruning *p;
    const struct prune_ops *ops;
    void *prune;
    const struct store_ops *store_ops;
    void *store;
    int64_t note_at_us; /* monotonic; 0: at once */
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

/* Before rows go it is noted how old they may be; else `verify` would take their messages for made
 * up. */
static int note(struct run *r, struct error *err)
{
    int64_t now = clock_mono_us();
    if (r->p->order.dry_run || now < r->note_at_us) {
        return RESULT_DONE;
    }
    const struct conf_pipeline *p = r->p->conf;
    const char *table = conf_ask_text(p->source->keys, p->source_conf, "table");
    if (r->store_ops->note_pruned(r->store, table, r->p->order.older_than_us, err)) {
        return RESULT_ERROR;
    }
    r->note_at_us = now + NOTE_EVERY_US;
    return RESULT_DONE;
}

static int try_step(struct run *r, struct prune_step *ret, struct error *err)
{
    int rc = RESULT_ERROR;
    for (int i = 0; i < TRIES; i++) {
        rc = note(r, err) ? RESULT_ERROR : r->ops->step(r->prune, ret, err);
        bool again = rc == RESULT_ERROR && err->class == ERROR_RETRY;
        if (!again || rest(r->p, r->p->pause_us)) {
            break;
        }
    }
    return rc;
}

static int take_steps(struct run *r, struct error *err)
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

static int run(struct run *r, const struct source_env *env, struct error *err)
{
    const struct pruning *p = r->p;
    int rc = r->ops->open(p->conf->source_conf, env, &p->order, &r->prune, err);
    if (rc) {
        return rc;
    }
    rc = take_steps(r, err);
    r->ops->held(r->prune, add_held, r->result);
    if (rc == RESULT_DONE && !p->order.dry_run && r->ops->advise) {
        rc = r->ops->advise(r->prune, &r->result->advice, err);
    }
    r->ops->close(r->prune);
    return rc;
}

int pruning_run(const struct pruning *p, struct pruning_result *ret, struct error *err)
{
    CLEANUP(buf_release) struct buf url = {0};
    struct store_env store_env;
    struct run r = {.p = p, .ops = registry_source(p->conf->source->name)->prune, .result = ret};
    r.store_ops = assembly_store(&store_env, &url, p->config, p->conf);
    store_env.observe = true; /* it has time to wait for a lock */
    store_env.stop_fd = p->stop_fd;
    const struct source_env env = {.pipeline = p->conf->name,
                                   .store = {.positions = r.store_ops->positions,
                                             .dead_letters = r.store_ops->dead_letters,
                                             .part = store_env.part},
                                   .stop_fd = p->stop_fd};
    if (r.store_ops->open(&store_env, &r.store, err)) {
        return RESULT_ERROR;
    }
    int rc = run(&r, &env, err);
    r.store_ops->close(r.store);
    return rc;
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
