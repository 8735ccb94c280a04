/*
 * Where memory has run out nothing can go on: what is not saved comes again at the next start. Any
 * thread.
 */
#pragma once

#include <stdlib.h>

/* p; without it the process says so and aborts: memory_need(malloc(n)). */
void *memory_need(void *p);
