/*
 * The command line. A subcommand is one file relay/cli/<name>.c that exports
 * `const struct cli_command cli_<name>` (a blank or dash in the name becomes `_`), and one line in
 * commands.def.
 *
 * A command returns the process's exit code; only main exits. The command's result goes to stdout,
 * everything else to stderr. All functions here are for the main thread.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "config/config.h"
#include "contract/store.h"

struct cli_command {
    const char *name;
    const char *summary; /* one line for `commitrelay --help` */
    const char *usage;   /* behind "usage: commitrelay <name> "; one line a form */
    const char *about;   /* a paragraph or two behind the usage, without the options; may be NULL */
    int (*run)(int argc, char **argv); /* argv[0] is the command's name */
};

/* Finds and runs the command that argv names. Returns the exit code. */
int cli_main(int argc, char **argv) MUST_CHECK;

/* "commitrelay: <text>" on stderr. Returns `exit_code`, so that `return cli_error(...)` reads well.
 */
int cli_error(int exit_code, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Prints the error's text in the same way. Returns its exit code, or 70 if it has none. */
int cli_fail(const struct error *err);

/* "commitrelay: warning: <text>" */
void cli_warning(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* Writes to stdout and flushes. Returns 0, or 74 after a message if that fails, for example because
 * the reader of a pipe has gone. */
int cli_print(struct slice text) MUST_CHECK;

/* The same for text that people read: control characters that a terminal would obey are escaped. */
int cli_show(struct slice text) MUST_CHECK;

/* The configuration to take where no -c was given: $COMMITRELAY_CONFIG, else
 * /etc/commitrelay/relay.yaml if there is one, else NULL. */
const char *cli_default_file(void);

/* Loads a configuration and prints its warnings. Returns 0, and the caller frees *ret; or the exit
 * code after the message. `file` NULL (no -c given): the default one; 64 if there is none. */
int cli_load(const char *file, struct config **ret) MUST_CHECK;
/* The same, but reports every mistake, not only the first. */
int cli_load_all(const char *file, struct config **ret) MUST_CHECK;
void cli_config_free(struct config **c); /* for CLEANUP */

/* The pipeline of that name (borrowed from `c`); with `name` NULL the only pipeline. Returns 0, or
 * 64 after a message that names the nearest name. */
int cli_pick(const struct config *c, const char *name, const struct conf_pipeline **ret) MUST_CHECK;
/* The same for a consumer. 78 if there are none. */
int cli_pick_consumer(const struct config *c, const char *name,
                      const struct conf_consumer **ret) MUST_CHECK;

/* An opened store of a pipeline: where its cursor, control row and dead letters are. It is not
 * started, so it does not hold the pipeline's lock; `observe`, `control_*` and `dead_letter_*` may
 * be called. */
struct cli_store {
    const struct store_ops *ops;
    void *store;
    struct buf url, shown; /* shown: for people and for comparing, see assembly_store_shown */
    struct store_env env;
};
/* Opens it. Returns 0, or the exit code after the message. `ret` is released in both cases and must
 * not be moved until then. */
int cli_store_open(struct cli_store *ret, const struct config *c,
                   const struct conf_pipeline *p) MUST_CHECK;
/* The store that `p` uses, for the state of another pipeline, which need not be in the file. `name`
 * outlives it. */
int cli_store_open_as(struct cli_store *ret, const struct config *c, const struct conf_pipeline *p,
                      const char *name) MUST_CHECK;
/* 0, or for a pipeline that is divided into shards 78 after the message: the command does not know
 * them. remedy: what to do instead, a sentence's end. */
int cli_refuse_shards(const struct conf_pipeline *p, const char *command,
                      const char *remedy) MUST_CHECK;
/* That of a part of it (contract/part.h), which outlives it. */
int cli_store_open_part(struct cli_store *ret, const struct config *c,
                        const struct conf_pipeline *p, const char *part) MUST_CHECK;
void cli_store_release(struct cli_store *s); /* for CLEANUP: start from {0} */

/* Progress of long work, on stderr: on a terminal one line that is rewritten, else a new line every
 * few seconds. */
struct cli_progress {
    int64_t next_us; /* monotonic: nothing is printed before */
    bool line_open;  /* a line was begun on a terminal and not ended yet */
};
/* May be called as often as one likes: most calls print nothing. */
void cli_progress(struct cli_progress *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
void cli_progress_end(struct cli_progress *p); /* ends the terminal's line, if one was begun */
