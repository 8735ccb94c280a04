/*
 * What `status` prints for people: the reason and the commands that help on lines of their own, at
 * most 100 columns.
 */
#pragma once

#include "cli/status_row.h"

/* Appends the text. `file` is the configuration's name as the operator typed it; it is put into the
 * commands. */
void status_row_text(const struct status_row *r, const char *file, struct buf *out);
