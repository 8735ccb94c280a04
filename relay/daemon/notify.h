/*
 * Messages to systemd as of sd_notify(3): datagrams to $NOTIFY_SOCKET, without libsystemd. Nothing
 * here fails or waits: without that variable, or if systemd does not read, the messages are
 * dropped. Main thread.
 */
#pragma once

#include <stdint.h>

/* The socket to send from, which the caller closes; -1 if $NOTIFY_SOCKET is not set. It is opened
 * once, so that messages to the watchdog need no descriptor later. */
int notify_open(void);

/* Sends a message such as "READY=1" or "STATUS=...\nWATCHDOG=1". fd -1 is fine. */
void notify_send(int fd, const char *text);

/* The watchdog's timeout in microseconds: without WATCHDOG=1 for so long systemd kills the process.
 * 0: there is no watchdog for this process. */
int64_t notify_watchdog_us(void);
