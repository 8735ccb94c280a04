/*
 * Start-up: an interrupted commit is finished, and what else a dead relay left behind is swept
 * away.
 */
#pragma once

#include "pipeline/sink.h"
#include "sink/file_dir.h"

/* The directory is claimed and entered. ret->delivered stays 0 when there is no intent. */
int file_recover(const struct file_dir *d, bool with_manifest, struct sink_recovery *ret,
                 struct error *err) MUST_CHECK;
