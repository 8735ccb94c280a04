/* An outbox source keeps its cursor in the database of the outbox, whatever `store` says. */
#include "daemon/parts.h"

#include "base/shown.h"
#include "db/pg.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char SQLITE_PREFIX[] = "sqlite:";

/* "columns.seq" is the key `seq` of the group `columns`. *ret_base: where its struct begins. */
static const struct conf_key *find_key(const struct conf_key *keys, const void *conf,
                                       const char *name, const char **ret_base)
{
    size_t n = strcspn(name, ".");
    *ret_base = conf;
    for (const struct conf_key *k = keys; k->name; k++) {
        if (strlen(k->name) == n && strncmp(k->name, name, n) == 0) {
            return name[n] ? find_key(k->group, *ret_base + k->offset, name + n + 1, ret_base) : k;
        }
    }
    return NULL;
}

const char *parts_text(const struct conf_key *keys, const void *conf, const char *name)
{
    const char *base;
    const struct conf_key *k = find_key(keys, conf, name, &base);
    bool text = k && (k->type == CONF_STRING || k->type == CONF_SECRET);
    return text ? *(char *const *)(const void *)(base + k->offset) : NULL;
}

const char *parts_word(const struct conf_key *keys, const void *conf, const char *name)
{
    const char *base;
    const struct conf_key *k = find_key(keys, conf, name, &base);
    return k && k->type == CONF_ENUM ? k->choices[*(const int *)(const void *)(base + k->offset)]
                                     : NULL;
}

bool parts_given(const struct conf_key *keys, const void *conf, const char *name)
{
    const char *base;
    const struct conf_key *k = find_key(keys, conf, name, &base);
    return k && k->given_offset && *(const bool *)(const void *)(base + k->given_offset);
}

int64_t parts_duration_us(const struct conf_key *keys, const void *conf, const char *name)
{
    const char *base;
    const struct conf_key *k = find_key(keys, conf, name, &base);
    return k && k->type == CONF_DURATION ? *(const int64_t *)(const void *)(base + k->offset) : 0;
}

bool parts_changes(const struct conf_pipeline *p)
{
    const char *as = parts_word(p->source->keys, p->source_conf, "as");
    return as && strcmp(as, "changes") == 0;
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
    CLEANUP(buf_release) struct buf path = {0}; /* or what somebody took for one */
    parts_absolute(&path, store_url + n);
    buf_add_str(out, SQLITE_PREFIX);
    shown_redact(out, buf_slice(&path));
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
