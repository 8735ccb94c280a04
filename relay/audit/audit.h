/*
 * The audit log (`audit.path`): one line of JSON for each act that changes what the relay does or
 * what it has kept, with who gave the command. Example:
 *   {"time":"2026-11-29T10:00:00.123456Z","event":"pause","pipeline":"orders",
 *    "who":{"uid":1000,"user":"anna"},"before":{"paused":"no"},"after":{"paused":"yes"}}
 *
 * Daemon and commands append to the same file, each line with one write(2), so lines of several
 * processes do not mix. A line holds names, numbers and positions: no value of a message, no
 * secret, and no error text of a server, which may quote either.
 *
 * Any thread. Functions that take a `struct audit *` do nothing for NULL and for a log without a
 * path.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct audit;

/* Who gave a command, as text: the uid and, if it is known, a blank and the user's name. */
enum { AUDIT_WHO_SIZE = 96 };

/* Whoever has the token of the admin port; no more is known of them. */
#define AUDIT_WHO_TOKEN "token"

/* Called when a line could not be written, once until one can be again; then with err NULL, and
 * `missing` is how many lines are not in the file. While the log is locked: it must not write to
 * it. */
typedef void audit_tell(const struct error *err, uint64_t missing);

/* Opens the file for appending, and makes it with mode 0640 if it is missing; "": there is none.
 * The caller frees *ret with audit_close. May wait for the disk.
 * CONFIG/78: a symbolic link, no regular file, or writable for everyone. CONFIG/74: it cannot be
 * opened for another reason. */
int audit_open(const char *path, audit_tell *tell, struct audit **ret,
               struct error *err) MUST_CHECK;
void audit_close(struct audit *a);

/* Opens `path` in the place of the file until now, which may be the same path: after it was
 * renamed, a new file is made. ERROR as audit_open: the file until now stays in use. */
int audit_reopen(struct audit *a, const char *path, struct error *err) MUST_CHECK;
/* The same with the path until now (SIGUSR1). If it fails, the file until now stays in use, and
 * each line tries to open the path again. */
void audit_rotate(struct audit *a);

/* Facts for `before` and `after`. A buffer of zeros has none. Names are ours and need no escape. */
void audit_text(struct buf *facts, const char *name, const char *text);
void audit_number(struct buf *facts, const char *name, int64_t number);
void audit_yes(struct buf *facts, const char *name, bool yes);           /* "yes" or "no" */
void audit_letter(struct buf *facts, int64_t letter, const char *state); /* of a dead letter */

struct audit_line {
    const char *event;
    const char *pipeline;             /* NULL: the act is of no pipeline */
    const char *who;                  /* as audit_who writes it; NULL: the daemon by itself */
    const struct buf *before, *after; /* NULL or empty: none */
};

/* Writes the line. A failure is told (audit_tell), and the caller goes on. */
void audit_write(struct audit *a, const struct audit_line *line);

/* Some line is not in the file. */
bool audit_incomplete(struct audit *a);

/* The text for this user; asks the system's user database for the name, which may take time. */
void audit_who(uid_t uid, char out[AUDIT_WHO_SIZE]);
