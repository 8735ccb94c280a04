/* An outbox source keeps its cursor in the database of the outbox, whatever `store` says. */
#include "daemon/assembly.h"

#include "base/shown.h"
#include "config/conf_ask.h"
#include "daemon/paths.h"
#include "daemon/registry.h"
#include "db/pg.h"
#include <string.h>

static const char SQLITE_PREFIX[] = "sqlite:";

/* For a source that has no such keys. */
static const int64_t CONNECT_TIMEOUT_US = 5 * US_PER_SECOND, READ_TIMEOUT_US = 30 * US_PER_SECOND;

bool assembly_changes(const struct conf_pipeline *p)
{
    const char *as = conf_ask_word(p->source->keys, p->source_conf, "as");
    return as && strcmp(as, "changes") == 0;
}

/* A store beside the source's database. */
static bool has_own_store(const struct conf_pipeline *p)
{
    return strncmp(p->source->name, "outbox_", strlen("outbox_")) != 0;
}

static void add_store_of_file(struct buf *out, const char *url)
{
    size_t n = strlen(SQLITE_PREFIX);
    if (strncmp(url, SQLITE_PREFIX, n) != 0) {
        buf_add_str(out, url);
        return;
    }
    buf_add_str(out, SQLITE_PREFIX);
    paths_state(out, url + n);
}

void assembly_store_url(struct buf *out, const struct config *c, const struct conf_pipeline *p)
{
    const char *url = conf_ask_text(p->source->keys, p->source_conf, "url");
    const char *path = conf_ask_text(p->source->keys, p->source_conf, "path");
    if (strcmp(p->source->name, "outbox_postgres") == 0 && url) {
        buf_add_str(out, url);
    } else if (strcmp(p->source->name, "outbox_sqlite") == 0 && path) {
        buf_printf(out, "%s%s", SQLITE_PREFIX, path);
    } else {
        add_store_of_file(out, c->store.url);
    }
}

void assembly_store_shown(struct buf *out, const char *store_url)
{
    size_t n = strlen(SQLITE_PREFIX);
    if (strncmp(store_url, SQLITE_PREFIX, n) != 0) {
        pg_redact(store_url, out);
        return;
    }
    CLEANUP(buf_release) struct buf path = {0}; /* or what somebody took for one */
    paths_absolute(&path, store_url + n);
    buf_add_str(out, SQLITE_PREFIX);
    shown_redact(out, buf_slice(&path));
}

static int64_t timeout(const struct conf_pipeline *p, const char *key, int64_t fallback_us)
{
    int64_t us = conf_ask_duration_us(p->source->keys, p->source_conf, key);
    return us ? us : fallback_us;
}

void assembly_timeouts(const struct conf_pipeline *p, int64_t *ret_connect_us, int64_t *ret_read_us)
{
    *ret_connect_us = timeout(p, "connect_timeout", CONNECT_TIMEOUT_US);
    *ret_read_us = timeout(p, "read_timeout", READ_TIMEOUT_US);
}

const struct store_ops *assembly_store(struct store_env *ret, struct buf *url,
                                       const struct config *c, const struct conf_pipeline *p)
{
    assembly_store_url(url, c, p);
    *ret = (struct store_env){.url = buf_str(url),
                              .pipeline = p->name,
                              .part = "",
                              .stop_fd = -1,
                              .create = has_own_store(p)};
    assembly_timeouts(p, &ret->connect_timeout_us, &ret->read_timeout_us);
    return store_for_url(ret->url);
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
}
