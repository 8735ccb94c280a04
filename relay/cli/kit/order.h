/*
 * Gives a pipeline an order: pause, resume, set the position, or one about dead letters or
 * snapshots. A running daemon gets it over its
 * socket, or else through the control row in the store, which the daemon obeys and answers. If no
 * daemon holds the lock, the command takes the lock and carries the order out itself. One thread.
 */
#pragma once

#include "cli/kit/cli_audit.h"
#include "cli/kit/find_relay.h"

struct order {
    const struct config *config;
    enum store_command command;
    const char *argument; /* "" without one */
    /* Carries the order out and notes it in `audit`; the caller holds the lock. `at` is what is
     * stored (borrowed). Answers DONE, or ERROR with *err. */
    int (*apply)(void *ctx, struct cli_store *s, struct store_position *at, struct cli_audit *audit,
                 struct error *err);
    /* Instead of apply, which is NULL then: takes the lock by itself, and writes what became of the
     * order to answer[size]. AGAIN: another relay has the lock. */
    int (*run)(void *ctx, struct cli_audit *audit, char *answer, size_t size, struct error *err);
    /* With neither, the order stays in the store for the relay that runs the pipeline next. */
    void *ctx;
    const char *done; /* what to say once `apply` did it, or nobody: "paused" */
};

/* Waits for the answer, at most about 15 s, and prints it and the store. Returns 0, or an exit code
 * after the message: 75 if the daemon did not answer in time (the order stays, the daemon obeys it
 * later) or its pipeline ended; 78 if it refused, or if the store does not exist yet, because a
 * command never makes one; 74 if the command has to do it and `audit.path` cannot be written; else
 * that of the error. */
int order_give(const struct order *o, struct cli_store *s, const struct found_relay *f) MUST_CHECK;
