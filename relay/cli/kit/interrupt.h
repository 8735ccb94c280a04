/*
 * SIGINT and SIGTERM as a descriptor, for commands that wait or write for long. It becomes readable
 * at the first signal and stays readable, so it can be given as the `stop_fd` of a source or a
 * database connection. Main thread, before other threads start.
 */
#pragma once

#include "base/result.h"

#include <stdbool.h>

/* Blocks both signals and returns the descriptor, open until the process ends. -1 if none can be
 * had: then the signals end the process as usual. */
int interrupt_open(void) MUST_CHECK;
/* Takes the signal that came; from now on a further one ends the process as usual. */
void interrupt_release(int fd);
bool interrupted(int fd); /* true once a signal came; does not wait; false for -1 */
