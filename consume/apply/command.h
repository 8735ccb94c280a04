/*
 * Runs the program of `exec` or `exec_stream` for one event, which it gets as a line. One thread;
 * waits for the program, at most until stop_fd is readable: then the program is killed (RETRY).
 */
#pragma once

#include "base/error.h"
#include "base/slice.h"
#include "config/conf_key.h"

/* Starts argv, whose first word is looked up in PATH, with COMMITRELAY_EVENT_ID in its environment,
 * writes `line` and a line end to its stdin, and waits for its end. 0: DONE; 75 (EX_TEMPFAIL):
 * RETRY; any other end: POISON. CONFIG: it cannot be started. Its stdout is our stderr. */
int command_run(const struct conf_list *argv, struct slice id, struct slice line, int stop_fd,
                struct error *err) MUST_CHECK;

/* A program that stays. */
struct command_stream;
/* Does not start it. `argv` outlives it. */
struct command_stream *command_stream_new(const struct conf_list *argv, int stop_fd);
void command_stream_free(struct command_stream *s); /* ends the program; NULL is fine */

/* Starts the program if it does not run, writes the line and waits for a line: "ok", or "ok " and
 * the event's id: DONE; "retry TEXT": RETRY; any other: POISON. It ended without an answer: RETRY
 * if with 75, else POISON; but if it ends with 0 and has had another event before, it is started
 * anew for this one, once. RETRY also if it has printed a line since its last answer. */
int command_stream_run(struct command_stream *s, struct slice id, struct slice line,
                       struct error *err) MUST_CHECK;
