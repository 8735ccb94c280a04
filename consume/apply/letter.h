/*
 * What is kept of an event that cannot be applied. Databases take only UTF-8 without NUL as text,
 * and one of another encoding even less, so bytes that are none are kept beside the text. Pure; one
 * thread.
 */
#pragma once

#include "base/buf.h"
#include "consume/record.h"
#include "value/digest.h"

enum letter_form { LETTER_UTF8, LETTER_ASCII }; /* what the database takes as text */

/* Ends with a NUL. `exact`: it is what came; else it has U+FFFD (in ASCII: a question mark) for
 * each byte that is no text. */
struct letter_text {
    struct buf text;
    bool given, exact; /* given: false: SQL null */
};

struct letter {
    struct letter_text id, key, event;
    /* Of id, key and what was received: two events of one id are two letters, and one that is sent
     * again is the same, although it has another offset. */
    char digest[DIGEST_HEX_SIZE];
};

/* Makes it. *l is zero, and released by the caller. */
void letter_make(struct letter *l, const struct record *r, enum letter_form form);
void letter_release(struct letter *l);

/* The digest alone: the record's own, if it was given one. */
void letter_digest(const struct record *r, char out[DIGEST_HEX_SIZE]);

/* Sets the text. *t is zero, and released by the caller. */
void letter_text(struct letter_text *t, struct slice s, enum letter_form form);
void letter_text_release(struct letter_text *t);
