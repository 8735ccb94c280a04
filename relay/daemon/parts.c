/* An outbox source keeps its cursor in the database of the outbox, whatever `store` says. */
#include "daemon/parts.h"

#include "db/pg.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* systemd separates several directories with colons; the first is ours. Empty without one. */
static struct slice state_directory(void)
{
    const char *dir = getenv("STATE_DIRECTORY");
    return (struct slice){dir, dir ? strcspn(dir, ":") : 0};
}

static void add_store_of_file(struct buf *out, const char *url)
{
    struct slice dir = state_directory();
    size_t n = strlen(SQLITE_PREFIX);
    if (strncmp(url, SQLITE_PREFIX, n) != 0 || url[n] == '/' || dir.len == 0) {
        buf_add_str(out, url);
        return;
    }
    buf_printf(out, "%s%.*s/%s", SQLITE_PREFIX, SLICE_FMT(dir), url + n);
}

void parts_absolute(struct buf *out, const char *path)
{
    char here[PATH_MAX];
    if (path[0] != '/' && getcwd(here, sizeof here)) {
        buf_printf(out, "%s/", strcmp(here, "/") == 0 ? "" : here);
        path += strncmp(path, "./", 2) == 0 ? 2 : 0;
    }
    buf_add_str(out, path);
}

void parts_store_shown(struct buf *out, const char *store_url)
{
    size_t n = strlen(SQLITE_PREFIX);
    if (strncmp(store_url, SQLITE_PREFIX, n) != 0) {
        pg_redact(store_url, out);
        return;
    }
    buf_add_str(out, SQLITE_PREFIX);
    parts_absolute(out, store_url + n);
}

void parts_socket_path(struct buf *out, const struct config *c)
{
    struct slice dir = state_directory();
    if (c->admin.socket[0] == '\0') {
        return;
    }
    if (c->admin.socket[0] != '/' && dir.len > 0) {
        buf_printf(out, "%.*s/%s", SLICE_FMT(dir), c->admin.socket);
    } else {
        parts_absolute(out, c->admin.socket);
    }
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
