/*
 * A dead letter as a JSON object that a person edits: {"topic", "key", "headers", "payload"}, with
 * `dead-letters edit` or in the console. Texts that were not touched stay byte for byte what they
 * were. Any thread, with its own arena.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "contract/store.h"

struct letter_values {
    struct slice topic, key, headers, payload;
    bool json; /* the payload is JSON, and stands in the object as it is */
};

/* CONFIG for a topic, headers or payload that are not what they have to be. */
int letter_values_check(const struct letter_values *v, struct error *err) MUST_CHECK;

/* What a retry of the letter would send now. Copied into the arena. */
struct letter_values letter_values_of(const struct store_dead_letter *d, struct arena *arena);

bool letter_values_same(const struct letter_values *a, const struct letter_values *b);

/* What is to be stored so that a retry of `was` sends `now`: the fields in which they differ. */
struct store_letter_edit letter_values_difference(const struct store_dead_letter *was,
                                                  const struct letter_values *now);

/* The facts of an edit for the audit log: names of fields, not their values. */
void letter_edit_facts(struct buf *facts, int64_t letter, unsigned fields, int64_t edits);
/* Appends the names, each with a blank before it. */
void letter_field_names(struct buf *out, unsigned fields);

/* Appends the object. */
void letter_object_add(struct buf *out, const struct letter_values *v);
/* Reads one into *v, whose values stay where a member is missing; what is new lies in the arena.
 * CONFIG if it is no such object, or its values are not what they have to be. */
int letter_object_read(struct slice text, struct letter_values *v, struct arena *arena,
                       struct error *err) MUST_CHECK;
