/* The socket for commands. Two relays may run in one directory, one as the standby of the other,
 * and they have the same default path. The first one listens there; the other takes the path over
 * when the first has ended. */
#include "daemon/control_socket.h"

#include "base/log.h"
#include "daemon/paths.h"
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int try_to_listen(struct control_socket *s, struct error *err)
{
    CLEANUP(buf_release) struct buf address = {0};
    buf_printf(&address, "unix:%s", buf_str(&s->path));
    if (admin_new(buf_str(&address), s->ops, s->ctx, &s->admin, err)) {
        return RESULT_ERROR;
    }
    s->told = false;
    log_write(LOG_INFO, NULL, "commands find this relay at %s", admin_address(s->admin));
    return RESULT_DONE;
}

/* Does another process accept connections there? Then it is a relay, and not having the path is no
 * fault. */
static bool somebody_listens(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    size_t n = strlen(path);
    int fd =
        n < sizeof a.sun_path ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
    memcpy(a.sun_path, path, n < sizeof a.sun_path ? n : 0);
    bool answers = fd >= 0 && connect(fd, (const struct sockaddr *)&a, sizeof a) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return answers;
}

/* Logs why commands cannot reach this relay. Only once: it may last as long as the other relay
 * runs.
 */
static void tell(struct control_socket *s, const struct error *err)
{
    if (!s->told) {
        log_write(
            somebody_listens(buf_str(&s->path)) ? LOG_INFO : LOG_WARN, NULL,
            "commands (status, pause, ...) cannot ask this relay and use its store alone: %s; tried again from time to time",
            err->text);
    }
    s->told = true;
}

int control_socket_open(struct control_socket *s, const struct config *c, struct error *err)
{
    paths_socket(&s->path, c);
    if (s->path.len == 0 || try_to_listen(s, err) == RESULT_DONE) {
        return RESULT_DONE;
    }
    if (c->admin.socket_given && !somebody_listens(buf_str(&s->path))) {
        control_socket_close(s);
        return RESULT_ERROR;
    }
    tell(s, err);
    error_clear(err);
    return RESULT_DONE;
}

bool control_socket_fits(const struct control_socket *s, const struct config *c)
{
    CLEANUP(buf_release) struct buf path = {0};
    paths_socket(&path, c);
    return strcmp(buf_str(&path), buf_str(&s->path)) == 0;
}

void control_socket_close(struct control_socket *s)
{
    admin_free(s->admin);
    s->admin = NULL;
    buf_release(&s->path);
}

void control_socket_tend(struct control_socket *s)
{
    struct error err;
    if (s->path.len == 0 || (s->admin && admin_in_place(s->admin))) {
        return;
    }
    admin_free(s->admin);
    s->admin = NULL;
    if (try_to_listen(s, &err)) {
        tell(s, &err);
    }
}

void control_socket_poll(struct control_socket *s, struct poll_set *set)
{
    if (s->admin) {
        admin_poll(s->admin, set);
    }
}

void control_socket_run(struct control_socket *s)
{
    if (s->admin) {
        admin_run(s->admin);
    }
}
