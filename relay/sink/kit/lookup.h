/*
 * Finds the addresses of a host without blocking: a name is resolved on a worker. Example:
 *
 *     rc = lookup_run(&l, "broker", "5672", &address, &err);   RESULT_AGAIN: poll lookup_fd,
 *                                                              and call it again
 *     ... connect to the addresses in turn ...
 *     lookup_forget(&l);                                       the next lookup_run asks anew
 *
 * The pipeline's thread only. A struct of zeros is ready for use.
 */
#pragma once

#include "base/worker.h"
#include "contract/sink.h"

#include <netdb.h>

struct lookup {
    struct lookup_job *job; /* the worker's while it is busy */
    struct worker *worker;  /* NULL until a name is to be resolved */
    bool asked;             /* the job is of the question that is open */
};

/* DONE: *ret is the list of addresses, valid until lookup_forget. AGAIN: not yet; a lookup that was
 * given up may still run, and ends first. RETRY: the name service's reason, without the host. */
int lookup_run(struct lookup *l, const char *host, const char *port, struct addrinfo **ret,
               struct error *err) MUST_CHECK;

/* What to poll for POLLIN while lookup_run says AGAIN; -1: nothing. */
int lookup_fd(const struct lookup *l);

/* Gives up the question, or its answer. Nothing waits. */
void lookup_forget(struct lookup *l);

/* Frees everything. A name that is being resolved is waited for a second, and then left behind,
 * which is logged. */
void lookup_release(struct lookup *l, const struct sink_env *env);
