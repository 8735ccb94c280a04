/*
 * Sends dead letters again, on an operator's order (`dead-letters retry`). Each goes alone:
 * the pipeline is settled first, then the letter is put. The next letter follows when the sink has
 * acknowledged this one and the store has noted that. The position does not move.
 *
 * Private to relay/pipeline, used by the pipeline's thread only; embedded in the pipeline.
 */
#pragma once

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pipeline;
struct batch;

enum { REDRIVE_LETTERS_MAX = 256 }; /* more numbers do not fit into an order's argument */

enum redrive_state {
    REDRIVE_BETWEEN, /* no letter is in hand */
    REDRIVE_READY,   /* the letter is an event again, and can be put */
    REDRIVE_SENT,    /* put, not acknowledged */
    REDRIVE_ACKED,   /* acknowledged, and not yet noted in the store */
    REDRIVE_FAILED,  /* `why`, and not yet noted in the store */
};

struct redrive {
    enum redrive_state state;
    int64_t letters[REDRIVE_LETTERS_MAX]; /* of the order */
    size_t count, next;                   /* letters[next] is, or comes, in hand */
    bool gave_up;                         /* the sink is down: the rest is not tried */
    /* The letter in hand. Its memory stays until the sink has been started again, or has reported
     * it: the sink may still be sending it. */
    struct batch *batch;
    int64_t edits; /* how often it was edited when it was read */
    uint64_t token;
    struct error why;
    /* What became of the letters of the order. */
    size_t sent, failed, unchanged, edited;
    char first_why[320]; /* of the first that failed */
};

/* --- redrive.c: the work --- */

/* Does what can be done without waiting. *ret_over: all letters have had their turn.
 * ERROR: the store has failed; what was acknowledged meanwhile is noted at the next call. */
int redrive_step(struct pipeline *p, bool *ret_over, struct error *err);

/* --- redrive_state.c --- */

/* Numbers with commas between, as an order has them: fills ids[REDRIVE_LETTERS_MAX] and returns how
 * many; 0 if it is no such list. */
size_t redrive_parse(const char *argument, int64_t *ids);

/* An order was given: the letters are sent by redrive_step. False: the argument is no list. */
bool redrive_begin(struct pipeline *p, const char *argument);

/* Writes what became of the letters into out[size], cut at its end: the answer to the order. */
void redrive_answer(const struct redrive *r, char *out, size_t size);

/* The letter in hand is not delivered; the store is to note why. */
void redrive_failed(struct pipeline *p, const struct error *why);

/* The sink has reported the token in hand: delivered, or not, and why. */
void redrive_reported(struct pipeline *p, bool delivered, const struct error *why);
/* The sink has failed as a whole. The letter in hand is not delivered; without a daemon it is tried
 * again for half a minute. */
void redrive_sink_failed(struct pipeline *p, const struct error *why);
/* The sink starts anew, or another relay ran meanwhile: what became of the letter in hand will not
 * be known, so it is looked at again. `all`: what was acknowledged and not noted as well. */
void redrive_look_again(struct pipeline *p, bool all);

/* A letter is in hand: a pipeline that stops should wait for it. */
bool redrive_under_way(const struct redrive *r);
