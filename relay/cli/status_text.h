/*
 * What `status` prints for people: the reason and the commands that help on lines of their own, at
 * most 100 columns.
 */
#pragma once

#include "cli/status_row.h"

/* `file`: the configuration as the operator named it, for the commands. */
void status_row_text(const struct status_row *r, const char *file, struct buf *out);
