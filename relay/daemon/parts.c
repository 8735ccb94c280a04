/* An outbox source keeps its cursor in the database of the outbox, whatever `store` says. */
#include "daemon/parts.h"

#include <stdlib.h>
#include <string.h>

static const char SQLITE_PREFIX[] = "sqlite:";

const char *parts_text(const struct conf_key *keys, const void *conf, const char *name)
{
    for (const struct conf_key *k = keys; k->name; k++) {
        if (strcmp(k->name, name) == 0 && (k->type == CONF_STRING || k->type == CONF_SECRET)) {
            return *(char *const *)(const void *)((const char *)conf + k->offset);
        }
    }
    return NULL;
}

int64_t parts_duration_us(const struct conf_key *keys, const void *conf, const char *name)
{
    for (const struct conf_key *k = keys; k->name; k++) {
        if (strcmp(k->name, name) == 0 && k->type == CONF_DURATION) {
            return *(const int64_t *)(const void *)((const char *)conf + k->offset);
        }
    }
    return 0;
}

bool parts_changes(const struct conf_pipeline *p)
{
    for (const struct conf_key *k = p->source->keys; k->name; k++) {
        if (strcmp(k->name, "as") == 0 && k->type == CONF_ENUM) {
            int chosen = *(const int *)(const void *)((const char *)p->source_conf + k->offset);
            return strcmp(k->choices[chosen], "changes") == 0;
        }
    }
    return false;
}

bool parts_store_own(const struct conf_pipeline *p)
{
    return strncmp(p->source->name, "outbox_", strlen("outbox_")) != 0;
}

static void add_store_of_file(struct buf *out, const char *url)
{
    const char *dir = getenv("STATE_DIRECTORY");
    size_t n = strlen(SQLITE_PREFIX);
    if (strncmp(url, SQLITE_PREFIX, n) != 0 || url[n] == '/' || !dir || !dir[0]) {
        buf_add_str(out, url);
        return;
    }
    /* systemd separates several directories with colons; the first is ours. */
    buf_printf(out, "%s%.*s/%s", SQLITE_PREFIX, (int)strcspn(dir, ":"), dir, url + n);
}

void parts_store_url(struct buf *out, const struct config *c, const struct conf_pipeline *p)
{
    const char *url = parts_text(p->source->keys, p->source_conf, "url");
    const char *path = parts_text(p->source->keys, p->source_conf, "path");
    if (strcmp(p->source->name, "outbox_postgres") == 0 && url) {
        buf_add_str(out, url);
    } else if (strcmp(p->source->name, "outbox_sqlite") == 0 && path) {
        buf_printf(out, "%s%s", SQLITE_PREFIX, path);
    } else {
        add_store_of_file(out, c->store.url);
    }
}
