/*
 * Finds the relay that runs a configuration file now: by the socket it listens on, wherever that
 * is, then by its admin port. The command goes on in the relay's own directories, so that it looks
 * into the same files.
 */
#pragma once

#include "cli/cli.h"
#include <jansson.h>

struct found_relay {
    json_t *status;     /* what it says of itself (/status); NULL: none was found */
    struct buf address; /* where it was asked: "unix:PATH" or HOST:PORT */
    bool sure;          /* asked over its socket, and it runs this very file: its figures are
                           believed and orders are sent to it */
    struct buf closed;  /* paths of sockets that this user may not open, ", " between; or "" */
};

/* Fills *ret, which starts from {0}. Returns 0, also when no relay is found (status is NULL then).
 * Returns 77, after the message, when the relay's directory may not be entered by this user.
 * Changes the process's working directory and $STATE_DIRECTORY: only a command's main thread. */
int find_relay(struct found_relay *ret, const struct config *c) MUST_CHECK;
void find_relay_release(struct found_relay *f); /* for CLEANUP: start from {0} */

/* The relay's /status row of a pipeline; NULL if there is none. Lives as long as f->status. */
const json_t *found_pipeline(const struct found_relay *f, const char *name);
/* The same of a consumer. */
const json_t *found_consumer(const struct found_relay *f, const char *name);

/* The same of a part of it; of STORE_WHOLE as above. */
const json_t *found_part(const struct found_relay *f, const char *name, const char *part);

/* Reads what the store holds, like the store's own observe; the caller releases ret->cursor.
 * CONFIG with exit code 78: the relay that was found keeps this pipeline in another store. CONFIG
 * with 77: this store (a SQLite file of our own) holds nothing, and a relay listens on a socket
 * that this user may not open, so the state may lie elsewhere. */
int found_observe(const struct found_relay *f, const struct cli_store *s,
                  struct store_position *ret, struct error *err) MUST_CHECK;
