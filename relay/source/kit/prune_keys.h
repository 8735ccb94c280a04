/*
 * The configuration keys below source.prune, the same for every outbox. They fill a struct
 * prune_settings, whose `given` is set by the key of the group.
 */
#pragma once

#include "config/conf_key.h"

extern const struct conf_key prune_keys[];
