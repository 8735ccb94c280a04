/*
 * What is kept of an event that cannot be applied. Databases take only UTF-8 without NUL as text,
 * so bytes that are none are kept beside the text. Pure; one thread.
 */
#pragma once

#include "base/buf.h"
#include "consume/record.h"
#include "value/digest.h"

/* Ends with a NUL. `exact`: it is what came; else it has U+FFFD for each byte that is no text. */
struct letter_text {
    struct buf text;
    bool given, exact; /* given: false: SQL null */
};

struct letter {
    struct letter_text id, key, event;
    char digest[DIGEST_HEX_SIZE]; /* of id, key and event: two events of one id are two letters */
};

/* Makes it. *l is zero, and released by the caller. */
void letter_make(struct letter *l, const struct record *r);
void letter_release(struct letter *l);

/* Sets the text. *t is zero, and released by the caller. */
void letter_text(struct letter_text *t, struct slice s);
void letter_text_release(struct letter_text *t);
