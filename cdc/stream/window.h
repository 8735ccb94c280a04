/*
 * How much the server may send ahead of its reader. Private to cdc/stream*.c.
 */
#pragma once

enum { STREAM_WINDOW = 128 * 1024 }; /* bytes; Linux doubles it for its own records */

/* Where the server is near, keeps the kernel from widening the receive window until it never
 * closes: a closed window is what makes the server's messages leave in large packets
 * (pace.h). A server farther away than a millisecond needs the wide one; other sockets
 * stay as they are. */
void stream_window_narrow(int fd);
