/*
 * SIGINT and SIGTERM as a descriptor, for commands that wait or write for long: it becomes readable
 * at the first one and stays so, which makes it a `stop_fd` for every part that takes one.
 */
#pragma once

#include <stdbool.h>

/* Blocks both signals. -1 when no descriptor can be had: then they end the process, as ever. */
int interrupt_open(void);
bool interrupted(int fd);
