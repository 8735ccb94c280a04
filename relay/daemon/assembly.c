/* Chooses plugins and store for a pipeline. An outbox source names its own database as the store
 * (source_ops.store_url), and then the `store` of the configuration is not used. */
#include "daemon/assembly.h"

#include "base/shown.h"
#include "daemon/paths.h"
#include "daemon/registry.h"
#include "db/pg.h"
#include "db/sqlite.h"

static const char SQLITE_PREFIX[] = "sqlite:";

/* The timeouts if the source does not set any (source_ops.timeouts). */
static const int64_t CONNECT_TIMEOUT_US = 5 * US_PER_SECOND, READ_TIMEOUT_US = 30 * US_PER_SECOND;

bool assembly_changes(const struct conf_pipeline *p)
{
    const struct source_ops *ops = registry_source(p->source->name);
    return ops->gives_changes && ops->gives_changes(p->source_conf);
}

static void add_store_of_file(struct buf *out, const char *url)
{
    const char *path = sqlite_url_path(url);
    if (path) {
        buf_add_str(out, SQLITE_PREFIX);
        paths_state(out, path);
    } else {
        buf_add_str(out, url);
    }
}

/* Appends the address of the source's own database, if the store is there. */
static bool add_store_in_source(struct buf *out, const struct conf_pipeline *p)
{
    const struct source_ops *ops = registry_source(p->source->name);
    if (ops->store_url) {
        ops->store_url(p->source_conf, out);
    }
    return ops->store_url != NULL;
}

const struct store_ops *assembly_store_in_source(const struct conf_pipeline *p)
{
    CLEANUP(buf_release) struct buf url = {0};
    return add_store_in_source(&url, p) ? registry_store_of_url(buf_str(&url)) : NULL;
}

void assembly_store_url(struct buf *out, const struct config *c, const struct conf_pipeline *p)
{
    if (!add_store_in_source(out, p)) {
        add_store_of_file(out, c->store.url);
    }
}

void assembly_store_shown(struct buf *out, const char *store_url)
{
    const char *file = sqlite_url_path(store_url);
    if (!file) {
        pg_redact(store_url, out);
        return;
    }
    /* What was given as a path may be a URL with a password in it, so it is redacted as well. */
    CLEANUP(buf_release) struct buf path = {0};
    paths_absolute(&path, file);
    buf_add_str(out, SQLITE_PREFIX);
    shown_redact(out, buf_slice(&path));
}

void assembly_timeouts(const struct conf_pipeline *p, int64_t *ret_connect_us, int64_t *ret_read_us)
{
    const struct source_ops *ops = registry_source(p->source->name);
    *ret_connect_us = CONNECT_TIMEOUT_US;
    *ret_read_us = READ_TIMEOUT_US;
    if (ops->timeouts) {
        ops->timeouts(p->source_conf, ret_connect_us, ret_read_us);
    }
}

const struct store_ops *assembly_store(struct store_env *ret, struct buf *url,
                                       const struct config *c, const struct conf_pipeline *p)
{
    assembly_store_url(url, c, p);
    *ret = (struct store_env){.url = buf_str(url),
                              .pipeline = p->name,
                              .part = STORE_WHOLE,
                              .stop_fd = -1,
                              .parks = p->delivery.poison == CONF_POISON_PARK_KEY,
                              .create = !registry_source(p->source->name)->store_url};
    assembly_timeouts(p, &ret->connect_timeout_us, &ret->read_timeout_us);
    const struct source_ops *source = registry_source(p->source->name);
    if (source->rows) {
        source->rows(p->source_conf, &ret->rows);
    }
    /* An address that is none of a store: PostgreSQL's, which stands first, says so when it is
     * opened.
     */
    const struct store_ops *ops = registry_store_of_url(ret->url);
    return ops ? ops : registry_stores()[0];
}

static bool clash(const struct conf_pipeline *p, const struct conf_pipeline *q, struct buf *out)
{
    const struct source_ops *source = registry_source(p->source->name);
    const struct sink_ops *sink = registry_sink(p->sink->name);
    const struct pipeline_of from_p = {p->name, p->source_conf}, from_q = {q->name, q->source_conf},
                             to_p = {p->name, p->sink_conf}, to_q = {q->name, q->sink_conf};
    return (p->source == q->source && source->clash && source->clash(&from_p, &from_q, out)) ||
           (p->sink == q->sink && sink->clash && sink->clash(&to_p, &to_q, out));
}

int assembly_check_clash(const struct config *c, size_t index, struct error *err)
{
    CLEANUP(buf_release) struct buf what = {0};
    const struct conf_pipeline *p = &c->pipelines[index];
    for (size_t i = 0; i < index; i++) {
        const struct conf_pipeline *q = &c->pipelines[i];
        if (clash(p, q, &what)) {
            return error_set(
                err, ERROR_CONFIG, "config",
                "pipeline %s: %s is that of pipeline %s (line %d), too, and only one pipeline may have it; give each one of its own",
                p->name, buf_str(&what), q->name, q->line);
        }
    }
    return RESULT_DONE;
}

void assembly_parts(struct pipeline_parts *ret, struct buf *url, const struct config *c,
                    const struct conf_pipeline *p)
{
    *ret = (struct pipeline_parts){.conf = p,
                                   .source = registry_source(p->source->name),
                                   .sink = registry_sink(p->sink->name),
                                   .changes = assembly_changes(p)};
    ret->store = assembly_store(&ret->store_env, url, c, p);
    ret->store_env.lease_us = c->store.lease_us;
    ret->keep_letters_us = c->dead_letters.keep_us;
}
