/*
 * What a `replay` sends: read from the words of the command line, or from the row that an
 * interrupted replay has left in the store. Main thread.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "cli/kit/args.h"
#include "contract/source.h"
#include "contract/store.h"
#include <jansson.h>
#include <stdbool.h>

/* The words of the command line; NULL: not given. */
struct replay_words {
    const struct cli_command *command; /* which complains */
    const char *from_time, *from_position, *to_time, *to_position, *key;
    struct args_list ids;
    const char *sink, *sink_config;
};

struct replay_plan {
    char id[STORE_REPLAY_ID_SIZE];
    struct source_range range;
    struct buf words;    /* the options that say the range, for the command to go on */
    struct buf sink;     /* the options that say the sink; empty: the pipeline's own */
    struct buf frontier; /* range.frontier */
    int64_t total;       /* events in the range when it began */
    json_t *stored;      /* what a resumed plan borrows its texts from */
    const char **ids;    /* range.ids of a resumed plan */
};

void replay_plan_release(struct replay_plan *p); /* for CLEANUP: start from {0} */
/* Releases *to and moves *from there, which is empty then. */
void replay_plan_move(struct replay_plan *to, struct replay_plan *from);

/* Appends the options that say the range. */
void replay_words_add(const struct replay_words *w, struct buf *out);

/* Is anything of the range given? */
bool replay_words_any(const struct replay_words *w);

/* The range alone, without frontier; it borrows from the words. None of them need be given. Returns
 * 0; or 64 after the message. */
int replay_words_range(const struct replay_words *w, struct source_range *ret);

/* Fills range (without frontier), words and sink. Returns 0; or 64 after the message. */
int replay_plan_read(struct replay_plan *p, const struct replay_words *w);

/* The same for the sink alone, where the store says the range. */
int replay_plan_sink(struct replay_plan *p, const struct replay_words *w);

/* Gives it an id: `chosen`, or one made of the time. Returns 0; or 64 after the message. */
int replay_plan_name(struct replay_plan *p, const struct cli_command *command, const char *chosen);

/* Appends what the store keeps of it. */
void replay_plan_text(const struct replay_plan *p, struct buf *out);

/* Fills all of it from what the store kept. DONE, or CONFIG if the text is not of this version. */
int replay_plan_parse(struct replay_plan *p, const struct store_replay *row,
                      struct error *err) MUST_CHECK;
