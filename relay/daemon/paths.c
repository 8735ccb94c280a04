/* Where relative paths begin (paths.h). */
#include "daemon/paths.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void paths_absolute(struct buf *out, const char *path)
{
    char here[PATH_MAX];
    if (path[0] != '/' && getcwd(here, sizeof here)) {
        buf_printf(out, "%s/", strcmp(here, "/") == 0 ? "" : here);
        path += strncmp(path, "./", 2) == 0 ? 2 : 0;
    }
    buf_add_str(out, path);
}

void paths_state(struct buf *out, const char *path)
{
    const char *dir = getenv("STATE_DIRECTORY");
    size_t n = dir ? strcspn(dir, ":") : 0; /* systemd separates several with colons */
    if (n > 0 && path[0] != '/') {
        buf_printf(out, "%.*s/", (int)n, dir);
    }
    buf_add_str(out, path);
}

static void add_own(struct buf *out, const char *path)
{
    CLEANUP(buf_release) struct buf placed = {0};
    if (path[0] == '\0') {
        return;
    }
    paths_state(&placed, path);
    paths_absolute(out, buf_str(&placed));
}

void paths_socket(struct buf *out, const struct config *c)
{
    add_own(out, c->admin.socket);
}

void paths_audit(struct buf *out, const struct config *c)
{
    add_own(out, c->audit.path);
}
