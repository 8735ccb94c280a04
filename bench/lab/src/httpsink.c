// httpsink: a receiver of webhooks on 127.0.0.1 that answers 204 to each POST, and as fast as one thread can. FILE holds how many came
// and, for those whose body has "seq" and "ts_us", when (first arrival) and that ts_us: int64 count, int64 repeated, {int64 at, int64 ts_us}[].
// usage: httpsink PORT FILE     prints "ready"; PUT empties the file
#include "common.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#define MAXN (1 << 20)
struct conn { int fd; size_t len, cap; char *buf; };
static struct file { int64_t count, repeated; struct { int64_t at, ts_us; } seen[MAXN]; } *file;
static void note(const char *body, size_t len) {
    int64_t seq = find_num(body, len, "seq", 3), ts = find_num(body, len, "ts_us", 5);
    if (seq >= 0 && seq < MAXN) {
        if (file->seen[seq].at) file->repeated++;
        else file->seen[seq].ts_us = ts, file->seen[seq].at = now_us();
    }
    __atomic_add_fetch(&file->count, 1, __ATOMIC_RELEASE);
}
// Serves the first request of what was read: its length, 0: it is not whole yet.
static size_t serve(struct conn *c) {
    static const char answer[] = "HTTP/1.1 204 No Content\r\n\r\n";
    char *end = memmem(c->buf, c->len, "\r\n\r\n", 4);
    if (!end) return 0;
    size_t body = 0, head = end + 4 - c->buf;
    for (char *l = c->buf; l < end; l = (char *)memchr(l, '\n', c->len) + 1)
        if (!strncasecmp(l, "content-length:", 15)) body = strtoul(l + 15, NULL, 10);
    if (c->len < head + body) return 0;
    if (!memcmp(c->buf, "PUT", 3)) memset(file, 0, sizeof *file);
    else note(c->buf + head, body);
    if (write(c->fd, answer, sizeof answer - 1) < 0) die("write", strerror(errno));
    return head + body;
}
static int take(struct conn *c) {
    if (c->len + 65536 > c->cap) c->buf = realloc(c->buf, c->cap = 2 * (c->len + 65536));
    ssize_t got = read(c->fd, c->buf + c->len, 65536);
    if (got <= 0) return 0;
    c->len += got;
    for (size_t n; (n = serve(c));) memmove(c->buf, c->buf + n, c->len -= n);
    return 1;
}
int main(int argc, char **argv) {
    if (argc < 3) die("usage", "httpsink PORT FILE");
    int fd = open(argv[2], O_RDWR | O_CREAT | O_TRUNC, 0644), on = 1, l = socket(AF_INET, SOCK_STREAM, 0), ep = epoll_create1(0);
    if (fd < 0 || ftruncate(fd, sizeof *file)) die("file", argv[2]);
    file = mmap(NULL, sizeof *file, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (file == MAP_FAILED || bind(l, (void *)&a, sizeof a) || listen(l, 256)) die("listen", strerror(errno));
    struct epoll_event e = {.events = EPOLLIN}, got[64];
    epoll_ctl(ep, EPOLL_CTL_ADD, l, &e);
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        int k = epoll_wait(ep, got, 64, -1);
        for (int i = 0; i < k; i++) {
            struct conn *c = got[i].data.ptr;
            if (!c) {
                c = calloc(1, sizeof *c);
                c->fd = accept(l, NULL, NULL);
                setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &(struct epoll_event){.events = EPOLLIN, .data.ptr = c});
            } else if (!take(c)) {
                close(c->fd);
                free(c->buf);
                free(c);
            }
        }
    }
}
