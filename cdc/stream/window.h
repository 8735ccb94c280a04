/*
 * The TCP receive window: how much the server may send before it is read. Private to cdc/stream/.
 */
#pragma once

enum { STREAM_WINDOW = 128 * 1024 }; /* bytes; Linux doubles it for its own bookkeeping */

/* If the server is near (a round trip below a millisecond), fixes the receive window. Otherwise the
 * kernel widens it until it is never full, and only a full window makes the server send large
 * packets (pace.h). A server that is farther away needs the wide window for its throughput; its
 * socket, and one that is not TCP, stay as they are. */
void stream_window_narrow(int fd);
