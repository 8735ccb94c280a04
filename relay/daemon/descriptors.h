/*
 * The limit of open files of this process. Without descriptors a library fails somewhere in the
 * middle of its work. So before the pipelines start, the limit is raised and compared with what
 * they need. Any thread, except descriptors_prepare: before the first pipeline starts.
 */
#pragma once

#include "base/error.h"
#include "config/config.h"

/* Raises the soft limit to the hard one. Logs a warning if the pipelines will probably need more,
 * and is FATAL/70 if they cannot even begin. `only`: the names of the pipelines that will run; none
 * = all. */
int descriptors_prepare(const struct config *c, const char *const *only, size_t only_count,
                        struct error *err) MUST_CHECK;

/* True if this process cannot open one more descriptor now. */
bool descriptors_used_up(void);

/* Opens a descriptor that is of no use, to be closed when another one is needed. -1: none is left.
 * The caller closes it. */
int descriptors_spare(void);
