/*
 * A dead letter in an editor. Main thread.
 */
#pragma once

#include "daemon/letter_object.h"
#include <stdint.h>

/* Writes the object to a file, runs $EDITOR (else vi) on it and reads it again. What is new lies in
 * the arena. A member that was taken out, or is not shown because it is no text, stays as it is.
 * CONFIG when the object cannot be read: the file stays then, and the text names it. */
int letter_editor_run(int64_t id, struct letter_values *v, struct arena *arena,
                      struct error *err) MUST_CHECK;
