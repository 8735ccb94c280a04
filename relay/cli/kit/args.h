/*
 * Parses a command's options by a table: `--name value`, `--name=value`, `-n value`, flags. An
 * option that is not in the table is refused, and the nearest known one is named. Abbreviations are
 * refused too: they would stop working when an option is added. `--help` is answered here, from the
 * table. Main thread (getopt has global state).
 */
#pragma once

#include "base/result.h"
#include "cli/commands.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum args_kind {
    ARGS_FLAG,  /* bool *: set to true */
    ARGS_TEXT,  /* const char **: not empty; may be given once */
    ARGS_INT,   /* int64_t *: min..max; may be given once */
    ARGS_LIST,  /* struct args_list *: may be given several times */
    ARGS_LATER, /* known, but only in a later version: refused by name, not in the help */
};

struct args_list {
    const char **items; /* point into argv */
    size_t count;
};
void args_list_release(struct args_list *l); /* for CLEANUP */

struct args_option {
    const char *name; /* without the dashes */
    char letter;      /* short form; 0: none */
    enum args_kind kind;
    void *target;
    const char *value; /* how the help calls the value: "FILE" */
    const char *help;
    int64_t min, max; /* INT */
};

/* The help text of --config, the same in every command. */
#define ARGS_CONFIG_HELP \
    "the configuration; default $COMMITRELAY_CONFIG, then /etc/commitrelay/relay.yaml"

/* A table is ended by an entry whose name is NULL. */
#define ARGS_END     \
    {                \
        .name = NULL \
    }

/* The arguments that are not options. Points into argv, which args_parse permutes. */
struct args_rest {
    char **items;
    size_t count;
};

/* Parses argv by the table. True: the targets of the options are set. False: the command ends with
 * *ret_exit (help was printed: 0; stdout failed: 74; a mistake: 64). `rest` NULL: the command takes
 * nothing but options. */
bool args_parse(const struct cli_command *command, const struct args_option *options, int argc,
                char **argv, struct args_rest *rest, int *ret_exit) MUST_CHECK;

/* Is given one command's options as its help shows them, --help included. `options` and what they
 * point to are valid during the call only. */
typedef void args_see_fn(void *ctx, const struct cli_command *command,
                         const struct args_option *options, size_t count);

/* Calls `see` once, with the options of the command; the command does nothing. For texts that are
 * made from the option tables: man page and completion. Not from within `see`. */
void args_look(const struct cli_command *command, args_see_fn *see, void *ctx);

/* Prints "<text>; see commitrelay <command> --help" on stderr and returns 64. */
int args_mistake(const struct cli_command *command, const char *fmt, ...) PRINTF_LIKE(2, 3);
