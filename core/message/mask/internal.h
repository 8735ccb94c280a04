/*
 * What the files of the mask share: mask.c compiles rules, json.c rewrites JSON, change.c
 * rows, value.c makes what stands for one value. Private to this folder.
 */
#pragma once

#include "base/buf.h"
#include "message/mask/mask.h"

struct rule {
    struct slice field; /* as configured; NUL-terminated */
    enum mask_how how;
    struct slice key;
    size_t length;
    const char *algorithm;
    /* JSON: payload or headers, and the members. A column: [schema,] table, column. */
    struct slice steps[MASK_DEPTH_MAX];
    size_t steps_count;
    uint64_t matched;
    bool warned;
};

struct mask {
    struct arena memory; /* all of it, this struct too */
    bool changes;
    struct rule rules[MASK_RULES_MAX];
    size_t count;
    uint64_t events;
};

/* What stands for the text of a value, for all but DROP and NULL. It lies in `arena`, or in the
 * rule. */
struct slice mask_text(const struct rule *r, struct slice text, struct arena *arena);

/* The type modifier of PostgreSQL's varchar(n) and char(n) is n and this. */
enum { MASK_TYPMOD_HEAD = 4 };

/* Whether the column is of type text, varchar or char. */
bool mask_is_text(const struct change_column *column);

/* Rewrites the JSON text of the outbox column `root` (payload, headers), if a rule is about it.
 * POISON: the text is no JSON, or a value cannot be masked. */
int mask_json(struct mask *m, const char *root, struct slice *text, struct arena *arena,
              struct error *err) MUST_CHECK;

/* A masked copy of the change, or the change itself if no rule is about its table. */
const struct change *mask_change(struct mask *m, const struct change *c, struct arena *arena);

/* Whether the rule is about this table; its column is the last step. */
bool mask_names_table(const struct rule *r, const struct change_table *table);

static inline struct slice mask_column_name(const struct rule *r)
{
    return r->steps[r->steps_count - 1];
}
