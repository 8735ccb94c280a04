/*
 * A dead letter as a JSON object that a person edits: {"topic", "key", "headers", "payload"}. Texts
 * that were not touched stay byte for byte what they were. Main thread.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

struct letter_values {
    struct slice topic, key, headers, payload;
    bool json; /* the payload is JSON, and stands in the object as it is */
};

/* CONFIG for a payload or headers that are not what they have to be. */
int letter_values_check(const struct letter_values *v, struct error *err) MUST_CHECK;

/* Writes the object to a file, runs $EDITOR (else vi) on it and reads it again. What is new lies in
 * the arena. A member that was taken out, or is not shown because it is no text, stays as it is.
 * CONFIG when the object cannot be read: the file stays then, and the text names it. */
int letter_editor_run(int64_t id, struct letter_values *v, struct arena *arena,
                      struct error *err) MUST_CHECK;

/* The two halves, for tests. */
void letter_object_add(struct buf *out, const struct letter_values *v);
int letter_object_read(struct slice text, struct letter_values *v, struct arena *arena,
                       struct error *err) MUST_CHECK;
