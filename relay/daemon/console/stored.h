/*
 * What the console has to ask a pipeline's store: dead letters, parked keys, positions. And an
 * edit, which is made in the store. Called on the thread of jobs.h, because a store may wait for
 * its server.
 */
#pragma once

#include "audit/audit.h"
#include "config/config.h"
#include "daemon/console/route.h"

struct stored_ask {
    const struct config *config;
    const struct conf_pipeline *pipeline;
    struct console_route route; /* LETTERS, LETTER, PARKED, POSITIONS, EDIT */
    int64_t after, limit;       /* LETTERS: numbers above `after`, at most `limit` */
    bool all;                   /* LETTERS: also those that were retried or dropped */
    int64_t edits;              /* EDIT: how often it was edited when it was shown; -1: any */
    bool sees;                  /* keys and payloads may be shown (guard.h) */
    struct slice body;          /* EDIT: an object of letter_object.h */
    const char *who;            /* EDIT: for the audit log */
    struct audit *audit;        /* may be NULL */
    int stop_fd;                /* ends waiting once it is readable; -1: none */
};

/* Appends the answer, a JSON object, and returns the HTTP status. An answer other than 200 has a
 * member `error`. */
int stored_answer(const struct stored_ask *ask, struct buf *out);
