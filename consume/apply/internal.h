/*
 * The inside of a struct apply, for the files of this folder: apply.c (events as they come),
 * parking.c (events that have to wait), letters.c (dead letters that are applied after all).
 */
#pragma once

#include "consume/apply/apply.h"
#include "consume/apply/inbox.h"
#include "consume/apply/steps.h"
#include "consume/decode/decode.h"

struct command_stream;

struct apply {
    const struct conf_consumer *conf;
    const struct inbox_ops *ops;
    struct inbox_conf inbox_conf;
    struct inbox *inbox; /* NULL: not connected */
    struct apply_counts *counts;
    struct command_stream *stream; /* of exec_stream; else NULL */
    /* Keys may be parked: `poison: park_key`, or it was so and some still are. */
    bool parking;
    bool *fresh;           /* batch_size each */
    struct record **going; /* of a batch: those that need not wait */
    size_t put_behind;     /* of the others: those that had not been kept before */
    struct record **chosen;
    struct steps steps;
};

/* apply.c */
int apply_connect(struct apply *a, struct error *err) MUST_CHECK;
bool apply_runs_program(const struct apply *a);
/* In the transaction that is open: claims the events and does what the fresh ones ask for. They are
 * in a->chosen, *ret_fresh of them. n: at most batch_size. */
int apply_effects(struct apply *a, struct record *const *records, size_t n, size_t *ret_fresh,
                  struct error *err) MUST_CHECK;
/* Outside any transaction: runs the program, unless the event was applied before, and claims it. */
int apply_program(struct apply *a, struct record *r, struct error *err) MUST_CHECK;

/* parking.c */
int parking_any(struct apply *a, bool *ret, struct error *err) MUST_CHECK;
/* In the transaction that is open: puts those that have to wait behind the dead letters of their
 * keys. The others are in a->going, *ret_going of them. CONFIG: there is no room for more, or an
 * event concerns several keys while some are parked. */
int parking_sift(struct apply *a, struct record *const *records, size_t n, size_t *ret_going,
                 struct error *err) MUST_CHECK;
/* May a dead letter of this record park its key? CONFIG: too many are. */
int parking_room_for_key(struct apply *a, struct error *err) MUST_CHECK;
/* Would it? It has a key, and the consumer is told to. */
bool parking_wanted(const struct apply *a, const struct record *r);
