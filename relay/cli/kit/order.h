/*
 * Something an operator asks of a pipeline: a running daemon is asked over its socket, else through
 * its control row, which it obeys and answers; where none runs, the command takes the lock itself
 * and does it in its place.
 */
#pragma once

#include "cli/kit/find_relay.h"

struct order {
    enum store_command command;
    const char *argument; /* "" without one */
    /* Does it under the lock; `at` is what is stored. */
    int (*apply)(void *ctx, struct cli_store *s, struct store_position *at, struct error *err);
    void *ctx;
    const char *done; /* what to say once `apply` did it: "paused" */
};

/* Waits for the answer, at most 15 s, and prints it and the store. 0, or the exit code after the
 * message: 75 if a daemon did not answer (it will obey when it can), 78 if it refused, or if there
 * is no store yet: a command never makes one. */
int order_give(const struct order *o, struct cli_store *s, const struct found_relay *f);
