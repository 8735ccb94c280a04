/*
 * What a schema is made of: tables as they were. Private to this folder. The copy of a table owns
 * all that a schema needs of it, its types too: the source makes its own anew when it connects
 * again. Any thread.
 */
#pragma once

#include "base/arena.h"
#include "model/change.h"

/* Whether both have the same schemas: names, types, defaults, what is hidden, the key. */
bool table_same(const struct change_table *a, const struct change_table *b);

/* Copies a table into the arena. */
void table_keep(struct arena *a, const struct change_table *from, struct change_table *ret);
