/*
 * How long a lock of another process is put up with. No I/O: each function is told the time, in
 * microseconds (monotonic). One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct outbox_sqlite_wait {
    int64_t since_us; /* when the lock was met first; 0: none is in the way */
    int64_t next_us;  /* when to try again */
};

/* A try has just met the lock. True: try again at next_us. False: timeout_us have passed, and the
 * wait is over. */
bool outbox_sqlite_wait_on(struct outbox_sqlite_wait *w, int64_t timeout_us, int64_t now_us);

/* Fills out[size] with what `status` says of the older of two waits for the database file `path`;
 * "" if there is none, or a short one. */
void outbox_sqlite_wait_tell(const struct outbox_sqlite_wait *a, const struct outbox_sqlite_wait *b,
                             const char *path, int64_t now_us, char *out, size_t size);
