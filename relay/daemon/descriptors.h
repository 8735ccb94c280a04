/*
 * The process's limit of open files: raised to what it may be, and compared with what the pipelines
 * need, before they start.
 */
#pragma once

#include "base/error.h"
#include "config/config.h"

/* Raises the soft limit to the hard one. Logs a warning when the pipelines (`only`: those of these
 * names; none = all) will probably need more; FATAL/70 when they cannot even begin. */
int descriptors_prepare(const struct config *c, const char *const *only, size_t only_count,
                        struct error *err) MUST_CHECK;

/* Is not one left now? */
bool descriptors_used_up(void);

/* One held back, to be closed when another is needed; -1 if there is none to hold. */
int descriptors_spare(void);
