/*
 * How far each stream is applied. Records of one stream may end in any order. Example: 1, 2 and 4
 * have ended and 3 has not, so the stream has moved to 2. One thread.
 */
#pragma once

#include "consume/record.h"
#include <stddef.h>

struct stream {
    char *name;
    struct record *first, *last; /* those that have not been passed yet, in their order */
    size_t count;
    int64_t taken;   /* the last number that was taken from the source; 0: none */
    int64_t settled; /* the last number that was passed; 0: none */
    int64_t saved;   /* the last that is known to be durable */
    bool lost;       /* another consumer has it now */
};

struct streams {
    struct stream **items;
    size_t count;
    size_t records, bytes; /* in all of them */
};

/* The stream of this name that is not lost, made if there is none. */
struct stream *streams_of(struct streams *s, const char *name);
/* NULL: there is none, or it is lost. */
struct stream *streams_find(const struct streams *s, const char *name);
/* Takes the record over. */
void streams_add(struct streams *s, struct stream *to, struct record *take);
/* The record has ended: frees what its stream has passed by it. True: the stream has moved. */
bool streams_done(struct streams *s, struct record *r);
/* Forgets lost streams that have no record any more. */
void streams_tidy(struct streams *s);
void streams_release(struct streams *s); /* frees all records, too */
