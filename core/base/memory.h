/*
 * What happens when memory runs out: the process says so and aborts. Nothing is lost by it, because
 * events that were not yet confirmed are read again at the next start. Otherwise every
 * function that allocates would need an error path, and nobody would ever see those run.
 *
 * Any thread.
 */
#pragma once

#include <stdlib.h>

/* Gives free memory back to the system, as far as the C library can. Takes milliseconds where much
 * is free, and other threads that allocate wait: for times of rest. */
void memory_give_back(void);

/* Returns p, which stays the caller's, and aborts if it is NULL: memory_need(malloc(n)). */
void *memory_need(void *p);
