/*
 * What systemd is told (sd_notify(3)): datagrams to $NOTIFY_SOCKET, without libsystemd. Nothing
 * happens, and nothing fails, where nobody asked for it.
 */
#pragma once

#include <stdint.h>

/* The socket to send from, kept open so that the watchdog hears of us when no descriptor is left;
 * -1: nobody asked. The caller closes it. */
int notify_open(void);

/* "READY=1", "STATUS=...\nWATCHDOG=1", ... */
void notify_send(int fd, const char *text);

/* How often the watchdog wants to hear of us; 0: never, or not of this process. */
int64_t notify_watchdog_us(void);
