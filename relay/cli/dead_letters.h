/*
 * `dead-letters`: what its files share. dead_letters.c parses the command line, letters_parts.c
 * goes through the shards, letters_pick.c finds the letters, letters_show.c prints,
 * letters_order.c retries and drops, letters_edit.c edits. consumer_letters.h is for those of a
 * consumer. Main thread.
 */
#pragma once

#include "cli/kit/args.h"
#include "cli/kit/find_relay.h"
#include "daemon/letter_object.h"

struct letters {
    const struct cli_command *command;
    const char *file, *name, *consumer, *verb;
    bool all, json, yes;
    /* Filters; NULL, or TIME_NONE: any. For `edit` key is the new one. */
    const char *key, *type, *reason;
    int64_t since_us; /* wall clock; of the last failure */
    /* edit */
    const char *topic, *payload_file;
    struct args_list headers;
    int64_t *ids; /* what was named; none with --all, and for a list */
    size_t ids_count;
    struct config *config;
    const struct conf_pipeline *p;
    struct found_relay relay;
    /* The part that is being worked in: its letters alone are in the store, and are meant by ids.
     */
    char part[PART_SIZE];
    char shown[64]; /* the pipeline and the part, for people */
    bool store_shown;
    struct cli_store store;
};

typedef int letters_work(struct letters *c);

/* Does the work in each part of the pipeline, or in those that have the letters that were named.
 * Returns 0, or the exit code after the message: 64 for a number that is none, before any work. */
int letters_in_parts(struct letters *c, letters_work *work);

/* Says that there is no such letter; returns 64. */
int letters_none(const struct letters *c, int64_t id);

/* Calls `each` for the letters that were named, whatever state they are in, or for those of `which`
 * that pass the filters. What was edited counts as it is now. Returns 0, or the exit code after the
 * message: 64 for a number that is none. */
int letters_each(struct letters *c, struct store_letter_pick which,
                 int (*each)(void *ctx, const struct store_dead_letter *d), void *ctx);

/* The commands. Each returns the exit code. */
int letters_list(struct letters *c);
int letters_show(struct letters *c);
int letters_retry(struct letters *c);
int letters_drop(struct letters *c);
int letters_edit(struct letters *c);
/* Any of them, for the consumer c->consumer. */
int consumer_letters(struct letters *c);

/* Without --yes: says that `count` letters would be retried or dropped, and by which command.
 * Appends that to *out and prints it. Returns the exit code.
 */
int letters_say_order(const struct letters *c, size_t count, struct buf *out);

/* Changes *now as the options say; without any, in $EDITOR. What is new lies in the arena. */
int letters_new_values(const struct letters *c, int64_t id, struct letter_values *now,
                       struct arena *arena, struct error *err) MUST_CHECK;

/* "retried at 2026-..." for a letter that is not open. */
void letters_add_end(struct buf *out, const struct store_dead_letter *d);
