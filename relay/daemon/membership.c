/* Makes the membership with the store that assembly chooses, and frees it with its last user. */
#include "daemon/membership.h"

#include "base/memory.h"
#include "contract/shards.h"
#include "daemon/assembly.h"
#include "daemon/registry.h"
#include <stdlib.h>

struct membership {
    const struct store_ops *ops;
    struct store_member *member;
    size_t references;
};

int membership_shards(const struct conf_pipeline *p)
{
    const struct source_ops *source = registry_source(p->source->name);
    int shards = 1;
    const char *by;
    if (source->divide) {
        source->divide(p->source_conf, &shards, &by);
    }
    return shards;
}

int membership_new(const struct config *c, const struct conf_pipeline *p, struct membership **ret,
                   struct error *err)
{
    CLEANUP(buf_release) struct buf url = {0};
    struct store_env env;
    int shards = membership_shards(p);
    *ret = NULL;
    if (shards < 2) {
        return RESULT_DONE;
    }
    const struct store_ops *ops = assembly_store(&env, &url, c, p);
    env.lease_us = c->store.lease_us;
    if (!ops->shards) {
        return error_set(
            err, ERROR_CONFIG, "config",
            "pipeline %s: store %s cannot divide a pipeline into shards; remove source.shards",
            p->name, ops->name);
    }
    struct membership m = {.ops = ops, .references = 1};
    if (ops->shards->member_new(&env, shards, &m.member, err)) {
        return RESULT_ERROR;
    }
    *ret = memory_need(malloc(sizeof **ret));
    **ret = m;
    return RESULT_DONE;
}

struct membership *membership_ref(struct membership *m)
{
    if (m) {
        m->references++;
    }
    return m;
}

void membership_unref(struct membership *m)
{
    if (m && --m->references == 0) {
        m->ops->shards->member_free(m->member);
        free(m);
    }
}

struct store_member *membership_of_store(const struct membership *m)
{
    return m ? m->member : NULL;
}
