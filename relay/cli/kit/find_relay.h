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
    bool sure;          /* over its socket, for this very file: it is believed, and takes orders */
    struct buf closed;  /* sockets of relays that this user may not ask; "" */
};

/* Not finding one is no fault. 0; 77 after the message when it runs in a directory that this user
 * may not enter. */
int find_relay(struct found_relay *ret, const struct config *c);
void find_relay_release(struct found_relay *f); /* for CLEANUP: start from {0} */

/* What it says of a pipeline; NULL: nothing. */
const json_t *found_pipeline(const struct found_relay *f, const char *name);

/* The store's observe, for commands: CONFIG/78 if the relay that runs the pipeline keeps its state
 * elsewhere, 77 if there is a relay that this user may not ask and nobody holds the lock here. */
int found_observe(const struct found_relay *f, const struct cli_store *s,
                  struct store_position *ret, struct error *err) MUST_CHECK;
