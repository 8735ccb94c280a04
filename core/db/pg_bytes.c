/* How much a server has sent, so that one which sends without end is noticed. In a file of its own,
 * because the kernel's header of TCP and the library's exclude each other. */
#include "db/internal.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* libpq's own buffer: of a local socket it takes about so much at once. */
enum { BUFFER_BYTES = 16384 };

uint64_t pg_bytes_come(struct pg *c)
{
    int fd = PQsocket(c->conn);
    struct tcp_info info;
    socklen_t len = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
        len >= offsetof(struct tcp_info, tcpi_bytes_received) + sizeof info.tcpi_bytes_received) {
        return info.tcpi_bytes_received;
    }
    int waiting = 0;
    if (ioctl(fd, FIONREAD, &waiting) == 0 && waiting > 0) {
        c->taken_bytes += waiting < BUFFER_BYTES ? (uint64_t)waiting : BUFFER_BYTES;
    }
    return c->taken_bytes;
}
