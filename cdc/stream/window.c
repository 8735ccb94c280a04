/* Fixes the receive window of a near server. TCP_INFO is described in tcp(7); tcpi_min_rtt is only
 * in the kernel's header, not in libc's. */
#include "cdc/stream/window.h"

#include "base/clock.h"
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/* Looks at the shortest round trip so far: the others include time that the server worked. */
static bool is_near(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
           len >= offsetof(struct tcp_info, tcpi_min_rtt) + sizeof info.tcpi_min_rtt &&
           info.tcpi_min_rtt < US_PER_MS;
}

void stream_window_narrow(int fd)
{
    int bytes = STREAM_WINDOW;
    if (is_near(fd)) {
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes,
                         sizeof bytes); /* an error only costs speed */
    }
}
