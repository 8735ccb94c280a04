/* Commands read through the same source plugin as the relay, so that both see the same events. */
#include "cli/kit/source_open.h"

#include "daemon/assembly.h"
#include "daemon/registry.h"
#include "pipeline/formats.h"
#include "pipeline/plugin_env.h"

int cli_source_open_range(struct cli_source *ret, const struct conf_pipeline *p,
                          const struct source_range *range, size_t max_event_bytes, int stop_fd,
                          struct error *err)
{
    unsigned caps;
    *ret = (struct cli_source){.ops = registry_source(p->source->name), .conf = p};
    ret->encode = formats_encode(p);
    if (formats_route_new(p, assembly_changes(p), &ret->route, err) ||
        formats_mask_new(p, assembly_changes(p), ret->route, &ret->mask, err) ||
        formats_columns_new(p, assembly_changes(p), &ret->columns, err)) {
        return RESULT_ERROR;
    }
    plugin_env_source(&ret->env, p, &ret->encode, ret->route, ret->mask, ret->columns,
                      assembly_store_in_source(p));
    ret->env.max_event_bytes = max_event_bytes;
    ret->env.stop_fd = stop_fd;
    ret->env.observe = true;
    ret->env.range = range;
    return ret->ops->open(p->source_conf, &ret->env, &ret->source, &caps, err);
}

int cli_source_open(struct cli_source *ret, const struct conf_pipeline *p, size_t max_event_bytes,
                    int stop_fd, struct error *err)
{
    return cli_source_open_range(ret, p, NULL, max_event_bytes, stop_fd, err);
}

void cli_source_release(struct cli_source *s)
{
    if (s->source) {
        s->ops->close(s->source);
    }
    route_free(s->route);
    mask_free(s->mask);
    column_rules_free(s->columns);
    *s = (struct cli_source){0};
}

int cli_source_prepare(const struct cli_source *s, struct batch *batch, struct event *e,
                       struct error *err)
{
    if (mask_event(s->mask, e, &batch->arena, err) ||
        (e->change && encode_change(&s->encode, e, &batch->arena, err))) {
        return RESULT_ERROR;
    }
    return formats_add_columns(s->conf, s->route, e, &batch->arena, err)
               ? RESULT_ERROR
               : route_apply(s->route, e, &batch->arena, err);
}

int cli_source_wait(struct cli_source *s, int64_t deadline_us, struct error *err)
{
    struct poll_set set;
    poll_set_clear(&set);
    s->ops->poll_fds(s->source, &set);
    if (s->ops->tend_fds) {
        s->ops->tend_fds(s->source, &set);
    }
    poll_set_deadline(&set, deadline_us);
    poll_set_add(&set, s->env.stop_fd, POLLIN);
    poll_set_wait(&set);
    bool stop = s->env.stop_fd >= 0 && set.fds[set.count - 1].revents;
    if (stop || clock_mono_us() >= deadline_us) {
        return RESULT_AGAIN;
    }
    return s->ops->tend ? s->ops->tend(s->source, err) : RESULT_DONE;
}

int cli_source_read(struct cli_source *s, struct batch *batch, size_t max_events, size_t max_bytes,
                    int64_t deadline_us, struct error *err)
{
    for (;;) {
        int rc = s->ops->read(s->source, batch, max_events, max_bytes, err);
        if (rc != RESULT_AGAIN || (rc = cli_source_wait(s, deadline_us, err))) {
            return rc;
        }
    }
}

void cli_source_describe(const struct source_ops *ops, struct slice cursor, struct buf *out)
{
    if (cursor.len > 0 && ops->describe) {
        ops->describe(cursor, out);
    } else {
        buf_add_slice(out, cursor);
    }
}
