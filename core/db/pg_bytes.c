/*
 * Counts the bytes that a server has sent. pg.c needs the count for three decisions: a server that
 * sends part of a large answer is alive, one that sends without end is not to be read any further,
 * and while an answer streams in, nobody need be woken for each piece. It is a file of its own
 * because linux/tcp.h and netinet/tcp.h cannot be included together.
 */
#include "db/internal.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* The size of libpq's buffer, and so about what it reads at once. */
enum { BUFFER_BYTES = 16384 };

size_t pg_bytes_waiting(const struct pg *c)
{
    int waiting = 0;
    return ioctl(PQsocket(c->conn), FIONREAD, &waiting) == 0 && waiting > 0 ? (size_t)waiting : 0;
}

uint64_t pg_bytes_come(struct pg *c)
{
    int fd = PQsocket(c->conn);
    struct tcp_info info;
    socklen_t len = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
        len >= offsetof(struct tcp_info, tcpi_bytes_received) + sizeof info.tcpi_bytes_received) {
        return info.tcpi_bytes_received;
    }
    /* The kernel keeps no count for a Unix socket. So this adds up what waits in the socket at each
     * call, since libpq reads it next. It is an estimate. */
    size_t waiting = pg_bytes_waiting(c);
    c->taken_bytes += waiting < BUFFER_BYTES ? waiting : BUFFER_BYTES;
    return c->taken_bytes;
}
