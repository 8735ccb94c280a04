/*
 * What happens when memory runs out: the process says so and aborts. Nothing is lost by it, because
 * events that were not yet confirmed are read again at the next start. Otherwise every
 * function that allocates would need an error path, and nobody would ever see those run.
 *
 * Any thread.
 */
#pragma once

#include <stdlib.h>

/* Returns p, which stays the caller's, and aborts if it is NULL: memory_need(malloc(n)). */
void *memory_need(void *p);
