/*
 * Masking: takes values out of an event, or makes them unreadable, before anything else sees them
 * (configuration key `mask`).
 *
 * A rule names one value. For table changes it is a column (`customers.email`,
 * `public.customers.email`). For outbox events it is a member of the payload or of the headers
 * column, both of which are JSON objects (`payload.customer.email`, `headers.ip`).
 *
 * A mask counts what its rules have matched, so only one thread may use it: the pipeline's, or that
 * of a command. What it makes lies in the arena that the caller passes.
 */
#pragma once

#include "base/error.h"
#include "model/change.h"
#include "model/event.h"

/* What becomes of a value. A value that is null already stays null, except that DROP takes it out.
 * config/conf_mask.c lists the words in the same sequence. */
enum mask_how {
    MASK_DROP,   /* the member or column is left out */
    MASK_NULL,   /* null */
    MASK_REDACT, /* the text *** */
    MASK_LAST4,  /* the text **** and the last four characters; **** alone for four or fewer, and
                    for a JSON object, array or boolean */
    MASK_HMAC,   /* HMAC-SHA-256 as hex */
    MASK_SHA256, /* SHA-256 as hex */
    /* Columns of table changes only, as Debezium masks them: */
    MASK_STARS,    /* so many *, also in place of a null */
    MASK_TRUNCATE, /* at most so many characters */
    MASK_HASH,   /* a digest of the salt and the text as Java serializes it, as hex, not longer than
                    the column (column.mask.hash) */
    MASK_HASH_V2 /* of the salt and the text (column.mask.hash.v2) */
};

enum { MASK_RULES_MAX = 64, MASK_DEPTH_MAX = 32 };

/* After so many events a rule that has matched nothing is worth a warning. */
enum { MASK_PATIENCE = 1000 };

struct mask_rule {
    const char *field;
    enum mask_how how;
    struct slice key;      /* HMAC; the salt of HASH and HASH_V2 */
    size_t length;         /* STARS, TRUNCATE: characters */
    const char *algorithm; /* HASH, HASH_V2: a name that digest_known has; NULL: SHA-256 */
};

struct mask;

/* Compiles the rules; they are copied. Free it with mask_free. *ret is NULL without rules.
 * `changes`: the source gives table changes. CONFIG for a path that names nothing of such a source,
 * for two rules about one value, and for more than MASK_RULES_MAX rules. */
int mask_new(const struct mask_rule *rules, size_t n, bool changes, struct mask **ret,
             struct error *err) MUST_CHECK;
void mask_free(struct mask *m); /* NULL is fine */

/* Masks an event in place; call it before encode_change. NULL is a mask without rules. For a change
 * e->change then points to a masked copy in `arena`: a column that became a text has the type text.
 * For an outbox event payload and headers are rewritten; every byte that is not masked stays as it
 * is. POISON: a value that should be masked cannot be. Payload and headers of the event are then
 * null and `partial` is set, because nobody may see them. The text names no value. */
int mask_event(struct mask *m, struct event *e, struct arena *arena, struct error *err) MUST_CHECK;

/* The field of a rule that has matched nothing in the first MASK_PATIENCE events. Each one is given
 * once; NULL: there is none, or it is too early. */
const char *mask_unmatched(struct mask *m);

/* Whether some rule is about the column of this name, in whatever table, or about the outbox column
 * `payload` or `headers`. Such a column must not be read past the mask, for a topic or a header. */
bool mask_covers(const struct mask *m, const char *column);

/* CONFIG for a table that a rule names but that has no such column, for a rule that would make rows
 * of different keys look the same, and for TRUNCATE of a column that is no text. NULL is a mask
 * without rules. */
int mask_check_table(const struct mask *m, const struct change_table *table,
                     struct error *err) MUST_CHECK;

/* For the check of tables that the server knows: the column of rule i of table changes. False:
 * there are no more rules. `ret_schema` is null if the rule has none. */
struct mask_column {
    const char *field;
    struct slice schema, table, name;
    bool fits_key; /* different values stay different */
    bool for_text; /* only text, varchar and char can be masked so */
};
bool mask_column_at(const struct mask *m, size_t i, struct mask_column *ret);

/* What is wrong with such a column, for error texts; all take field, schema and table. */
#define MASK_NO_COLUMN_TEXT "mask: %s: table %.*s.%.*s has no such published column"
#define MASK_NO_COLUMN_REMEDY "mend the name, or remove the rule"
#define MASK_NO_TEXT_TEXT \
    "mask: %s of %.*s.%.*s is no text, varchar or char, so it cannot be truncated"
#define MASK_NO_TEXT_REMEDY "take another mask"
#define MASK_KEY_TEXT \
    "mask: %s is part of the key of %.*s.%.*s, and this mask would make different rows look the same"
#define MASK_KEY_REMEDY "write `with: hmac` or `with: sha256`, which keep them apart"
