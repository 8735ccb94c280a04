/*
 * What is said first on a connection: who we are (HELLO), which database (SELECT), and that a
 * former connection is to be ended, so that nothing of it is executed from then on (CLIENT KILL).
 * The server is asked how long an argument may be (proto-max-bulk-len).
 * Then a transaction is begun and discarded, which shows that there can be one.
 * The pipeline's thread only.
 */
#pragma once

#include "sink/redis/link.h"

/* Sends all of it in one piece. */
void redis_greeting_send(struct redis_link *l);

/* Takes the next answer, which stays the caller's. DONE: it was the last one, and the server is one
 * that can be written to. CONFIG for a refused login, a cluster, a Sentinel and an old server;
 * RETRY for a replica and a server that is not ready. */
int redis_greeting_take(struct redis_link *l, const redisReply *reply,
                        struct error *err) MUST_CHECK;
