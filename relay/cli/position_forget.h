/*
 * `position forget`: removes what the store keeps of a retired pipeline. Main thread.
 */
#pragma once

#include "cli/kit/find_relay.h"

/* `name` NULL: the only pipeline of the file. Without `yes` it says what would go. `dead_letters`:
 * they may go too. Returns the exit code. */
int position_forget(const struct config *c, const struct found_relay *relay, const char *name,
                    bool yes, bool dead_letters);
