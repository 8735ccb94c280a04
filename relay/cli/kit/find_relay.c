/* Looks for the relay at its own socket, then at all sockets of that name on this machine, then at
 * the admin port. An answer counts as sure only if it names the same configuration file and comes
 * from a user who may run it: otherwise any local user could open a socket of that name and mislead
 * the command. */
#include "cli/kit/find_relay.h"

#include "cli/kit/admin_client.h"
#include "daemon/paths.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char SOCKETS[] = "/proc/net/unix";

static const char *text_of(const json_t *j, const char *key)
{
    const char *text = json_string_value(json_object_get(j, key));
    return text ? text : "";
}

static const json_t *found(const struct found_relay *f, const char *list, const char *name,
                           const char *part)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(f->status, list), i, row)
    {
        if (strcmp(text_of(row, "name"), name) == 0 && strcmp(text_of(row, "part"), part) == 0) {
            return row;
        }
    }
    return NULL;
}

const json_t *found_part(const struct found_relay *f, const char *name, const char *part)
{
    return found(f, "pipelines", name, part);
}

const json_t *found_pipeline(const struct found_relay *f, const char *name)
{
    return found_part(f, name, STORE_WHOLE);
}

const json_t *found_consumer(const struct found_relay *f, const char *name)
{
    return found(f, "consumers", name, STORE_WHOLE);
}

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    if (stat(a, &x) || stat(b, &y)) {
        return strcmp(a, b) == 0;
    }
    return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Whether the process that answered may run this file: as this user, root, the file's owner, or
 * with the file's group if the group may read it. Anybody else could listen on a socket of that
 * name and give wrong answers. */
static bool may_run(const struct admin_reply *r, const char *file)
{
    struct stat st;
    if (!r->local || stat(file, &st)) {
        return false;
    }
    return r->uid == geteuid() || r->uid == 0 || r->uid == st.st_uid ||
           (r->gid == st.st_gid && (st.st_mode & S_IRGRP));
}

/* How many pipelines it runs itself. A standby's pipelines are all "waiting", so this number tells
 * the active relay from its standby. */
static size_t active(const json_t *status)
{
    size_t i, n = 0;
    json_t *row;
    json_array_foreach(json_object_get(status, "pipelines"), i, row)
    {
        n += strcmp(text_of(row, "state"), "waiting") != 0;
    }
    return n;
}

static void take(struct found_relay *f, const char *address, json_t *status, bool sure)
{
    json_decref(f->status);
    f->status = status;
    f->sure = sure;
    buf_clear(&f->address);
    buf_add_str(&f->address, address);
}

/* No further path is added to `closed` once it has this many bytes. */
enum { CLOSED_SHOWN = 400 };

static void try_socket(struct found_relay *f, const struct config *c, const char *path)
{
    CLEANUP(buf_release) struct buf address = {0};
    struct admin_reply reply = {0};
    struct error err = {0};
    buf_printf(&address, "unix:%s", path);
    if (admin_client_ask(buf_str(&address), "GET /status", &reply, &err)) {
        if (error_is(&err, "EACCES") && f->closed.len < CLOSED_SHOWN) {
            buf_printf(&f->closed, "%s%s", f->closed.len > 0 ? ", " : "", path);
        }
        buf_release(&reply.body);
        return;
    }
    bool named = c->admin.socket[0] == '/';
    json_t *status = json_loadb(buf_str(&reply.body), reply.body.len, 0, NULL);
    buf_release(&reply.body);
    if (status && (named || may_run(&reply, c->file)) &&
        same_file(text_of(status, "config"), c->file) &&
        (!f->sure || active(status) > active(f->status))) {
        take(f, buf_str(&address), status, true);
    } else {
        json_decref(status);
    }
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* A relay that a service manager started has a working directory of its own, so its socket is
 * searched in the kernel's list of sockets. Each line of it: number, references, protocol, flags,
 * type, state, inode, path. */
static void try_all_sockets(struct found_relay *f, const struct config *c)
{
    char line[512];
    const char *name = last_part(c->admin.socket);
    FILE *list = fopen(SOCKETS, "re");
    while (list && fgets(line, sizeof line, list)) {
        const char *path = strchr(line, '/');
        line[strcspn(line, "\n")] = '\0';
        if (path && strcmp(last_part(path), name) == 0) {
            try_socket(f, c, path);
        }
    }
    if (list) {
        fclose(list);
    }
}

/* Any local user may listen on a port, so an answer from there is not sure. If it names a socket,
 * that socket is asked and judged like any other. */
static void try_port(struct found_relay *f, const struct config *c)
{
    struct admin_reply reply = {0};
    struct error err = {0};
    if (c->admin.listen[0] && !admin_client_ask(c->admin.listen, "GET /status", &reply, &err) &&
        reply.status == 200) {
        json_t *status = json_loadb(buf_str(&reply.body), reply.body.len, 0, NULL);
        const char *socket = text_of(status, "socket");
        if (socket[0] == '/') {
            try_socket(f, c, socket);
        }
        if (status && !f->sure) {
            take(f, c->admin.listen, status, false);
        } else {
            json_decref(status);
        }
    }
    buf_release(&reply.body);
}

/* Enters the relay's working directory and takes over its $STATE_DIRECTORY, so that relative paths
 * mean the same files as in the relay. */
static int go_there(const struct found_relay *f)
{
    const char *directory = text_of(f->status, "directory");
    const char *state = text_of(f->status, "state_directory");
    if (directory[0] == '/' && chdir(directory)) {
        return cli_error(
            EXIT_CODE_PERMISSION,
            "the relay at %s runs in %s, which this user may not enter; run the command as the relay's user",
            buf_str(&f->address), directory);
    }
    if (state[0] == '/') {
        (void)setenv("STATE_DIRECTORY", state, true);
    } else {
        (void)unsetenv("STATE_DIRECTORY");
    }
    return 0;
}

int find_relay(struct found_relay *ret, const struct config *c)
{
    CLEANUP(buf_release) struct buf path = {0};
    paths_socket(&path, c);
    if (path.len > 0) {
        try_socket(ret, c, buf_str(&path));
    }
    bool found = ret->sure && active(ret->status) > 0;
    if (path.len > 0 && c->admin.socket[0] != '/' && !found) {
        try_all_sockets(ret, c);
    }
    if (!ret->sure) {
        try_port(ret, c);
    }
    return ret->sure ? go_there(ret) : 0;
}

static bool same_store(const char *a, const char *b)
{
    static const char prefix[] = "sqlite:";
    size_t n = sizeof prefix - 1;
    return strcmp(a, b) == 0 ||
           (strncmp(a, prefix, n) == 0 && strncmp(b, prefix, n) == 0 && same_file(a + n, b + n));
}

int found_observe(const struct found_relay *f, const struct cli_store *s,
                  struct store_position *ret, struct error *err)
{
    const char *theirs = text_of(found_part(f, s->env.pipeline, s->env.part), "store");
    if (theirs[0] && !same_store(theirs, buf_str(&s->shown))) {
        return error_set(
            err, ERROR_CONFIG, "store",
            "the relay at %s keeps pipeline %s in %s, and this command would look into %s: run it in the relay's directory (%s), or reload the relay if the file was changed",
            buf_str(&f->address), s->env.pipeline, theirs, buf_str(&s->shown),
            text_of(f->status, "directory"));
    }
    if (s->ops->observe(s->store, ret, err)) {
        return RESULT_ERROR;
    }
    /* A relay with a socket that this user may not open may keep its own SQLite file elsewhere
     * (`create`: the store is such a file). "Nothing there" could then be wrong, so it is an error.
     * If the file here has something, that is the answer, whatever other relays run here. */
    if (f->closed.len > 0 && !f->status && !ret->locked && ret->absent && s->env.create) {
        return error_exit(
            err, ERROR_CONFIG, EXIT_CODE_PERMISSION, "store",
            "there is nothing of pipeline %s in %s, but a relay listens on %s and this user may not ask it: run the command as that relay's user, for example `sudo -u commitrelay commitrelay status`",
            s->env.pipeline, buf_str(&s->shown), buf_str(&f->closed));
    }
    return RESULT_DONE;
}

void find_relay_release(struct found_relay *f)
{
    json_decref(f->status);
    buf_release(&f->address);
    buf_release(&f->closed);
    *f = (struct found_relay){0};
}
