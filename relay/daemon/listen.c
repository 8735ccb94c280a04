/* Listening sockets. The difficulty is the file of a Unix socket: it stays when a relay is killed
 * and must then be replaced, but the file of a relay that runs must not be touched. */
#include "daemon/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 128, LOCK_TRIES = 50, LOCK_WAIT_MS = 20 };

static const char UNIX_PREFIX[] = "unix:";
static const mode_t modes[] = {[LISTEN_PAGES] = 0660, [LISTEN_ORDERS] = 0600};
static const char *const keys[] = {
    [LISTEN_PAGES] = "admin.listen", [LISTEN_ORDERS] = "admin.socket"};

/* What is being opened, for the error texts. */
struct place {
    const char *listen;
    enum listen_use use;
};

static int refused(struct error *err, const struct place *at, const char *doing, int errnum)
{
    if (errnum == EMFILE || errnum == ENFILE || errnum == ENOMEM || errnum == ENOBUFS) {
        return error_exit(err, ERROR_FATAL, EXIT_CODE_BUG, "admin",
                          "cannot %s %s: %s; raise the limits of the process (LimitNOFILE, memory)",
                          doing, at->listen, strerror(errnum));
    }
    const char *remedy = errnum == EADDRINUSE ? "; another program listens there: stop it or change"
                         : errnum == EACCES   ? "; choose a place this user may use in"
                                              : "; mend";
    return error_set(err, ERROR_CONFIG, "admin", "cannot %s %s: %s%s %s", doing, at->listen,
                     strerror(errnum), remedy, keys[at->use]);
}

/* Removes the socket file if connecting to it is refused: a relay that was killed has left it. */
static int remove_stale(const struct place *at, const struct sockaddr_un *address,
                        struct error *err)
{
    struct stat st;
    if (lstat(address->sun_path, &st)) {
        return RESULT_DONE; /* nothing there, or bind says what is wrong */
    }
    if (!S_ISSOCK(st.st_mode)) {
        return error_set(
            err, ERROR_CONFIG, "admin",
            "cannot listen on %s: the file is there and no socket; change %s or remove it",
            at->listen, keys[at->use]);
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return refused(err, at, "open a socket for", errno);
    }
    int rc = connect(fd, (const struct sockaddr *)address, sizeof *address);
    int why = errno;
    close(fd);
    if (rc == 0 || why != ECONNREFUSED) {
        return refused(err, at, "listen on", EADDRINUSE);
    }
    if (unlink(address->sun_path) && errno != ENOENT) {
        return refused(err, at, "replace the stale socket", errno);
    }
    return RESULT_DONE;
}

/* If two relays start at once, both may find the same stale file: the first replaces it, and the
 * second removes the first one's new file. So they take turns with a lock on the directory. Returns
 * the descriptor to close, -1 without one. Without the lock (after a second, or if the directory
 * cannot be opened) the relay goes on: the race is rare. */
static int lock_directory(const char *path)
{
    char dir[sizeof((struct sockaddr_un *)0)->sun_path];
    const char *slash = strrchr(path, '/');
    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path + 1) : 1, slash ? path : ".");
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; fd >= 0 && i < LOCK_TRIES && flock(fd, LOCK_EX | LOCK_NB) != 0; i++) {
        (void)poll(NULL, 0, LOCK_WAIT_MS);
    }
    return fd;
}

static int bind_unix(const struct place *at, const struct sockaddr_un *address,
                     struct listen_socket *s, struct error *err)
{
    const char *path = address->sun_path;
    if (remove_stale(at, address, err)) {
        return RESULT_ERROR;
    }
    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->fd < 0) {
        return refused(err, at, "open a socket for", errno);
    }
    /* chmod comes before listen, since nobody can connect before listen. */
    struct stat st;
    if (bind(s->fd, (const struct sockaddr *)address, sizeof *address) ||
        chmod(path, modes[at->use]) || stat(path, &st) || listen(s->fd, BACKLOG)) {
        int why = errno;
        close(s->fd);
        return refused(err, at, "listen on", why);
    }
    s->local = true;
    s->device = st.st_dev;
    s->inode = st.st_ino;
    snprintf(s->unix_path, sizeof s->unix_path, "%s", path);
    snprintf(s->address, sizeof s->address, "%s%s", UNIX_PREFIX, path);
    return RESULT_DONE;
}

static int open_unix(const struct place *at, struct listen_socket *s, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = at->listen + strlen(UNIX_PREFIX);
    if (strlen(path) >= sizeof address.sun_path) {
        return error_set(
            err, ERROR_CONFIG, "admin",
            "cannot listen on %s: a socket's path has at most %zu bytes; name a shorter one with %s",
            at->listen, sizeof address.sun_path - 1, keys[at->use]);
    }
    memcpy(address.sun_path, path, strlen(path));
    int lock = lock_directory(path);
    int rc = bind_unix(at, &address, s, err);
    if (lock >= 0) {
        close(lock);
    }
    return rc;
}

static bool is_loopback(const struct sockaddr_storage *a)
{
    if (a->ss_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, a, sizeof v4);
        return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
    }
    struct sockaddr_in6 v6;
    memcpy(&v6, a, sizeof v6);
    return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

static void describe(struct listen_socket *s)
{
    struct sockaddr_storage a = {0};
    socklen_t n = sizeof a;
    char host[64] = "?", port[16] = "?";
    (void)!getsockname(s->fd, (struct sockaddr *)&a, &n);
    (void)!getnameinfo((const struct sockaddr *)&a, n, host, sizeof host, port, sizeof port,
                       NI_NUMERICHOST | NI_NUMERICSERV);
    s->local = is_loopback(&a);
    snprintf(s->address, sizeof s->address, a.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host,
             port);
}

static int bind_tcp(const struct place *at, const struct addrinfo *ai, struct listen_socket *s,
                    struct error *err)
{
    int on = 1;
    s->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->fd < 0) {
        return refused(err, at, "open a socket for", errno);
    }
    /* Else a restart would fail while connections of the old process are in TIME_WAIT. */
    (void)setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(s->fd, ai->ai_addr, ai->ai_addrlen) || listen(s->fd, BACKLOG)) {
        int why = errno;
        close(s->fd);
        return refused(err, at, "listen on", why);
    }
    describe(s);
    return RESULT_DONE;
}

static int open_tcp(const struct place *at, struct listen_socket *s, struct error *err)
{
    char host[128];
    const char *listen_on = at->listen;
    const char *from = listen_on, *colon = strrchr(listen_on, ':');
    size_t n = colon ? (size_t)(colon - listen_on) : 0;
    if (n >= 2 && from[0] == '[' && from[n - 1] == ']') {
        from++;
        n -= 2;
    }
    if (!colon || n == 0 || n >= sizeof host) {
        return error_set(err, ERROR_CONFIG, "admin",
                         "cannot listen on %s: admin.listen is HOST:PORT or unix:PATH", listen_on);
    }
    memcpy(host, from, n);
    host[n] = 0;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    int rc = getaddrinfo(host, colon + 1, &hints, &found);
    if (rc) {
        return error_set(err, ERROR_CONFIG, "admin", "cannot listen on %s: %s; mend admin.listen",
                         listen_on, gai_strerror(rc));
    }
    rc = bind_tcp(at, found, s, err);
    freeaddrinfo(found);
    return rc;
}

int listen_open(const char *listen_on, enum listen_use use, struct listen_socket *ret,
                struct error *err)
{
    struct listen_socket s = {.fd = -1};
    const struct place at = {listen_on, use};
    bool local = strncmp(listen_on, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0;
    if (local ? open_unix(&at, &s, err) : open_tcp(&at, &s, err)) {
        return RESULT_ERROR;
    }
    *ret = s;
    return RESULT_DONE;
}

bool listen_is_ours(const struct listen_socket *s)
{
    struct stat st;
    return s->unix_path[0] && lstat(s->unix_path, &st) == 0 && st.st_dev == s->device &&
           st.st_ino == s->inode;
}

void listen_close(struct listen_socket *s)
{
    if (listen_is_ours(s)) {
        (void)unlink(s->unix_path);
    }
}
