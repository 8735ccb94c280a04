/*
 * Start-up: an interrupted commit is finished, and what else a dead relay left behind is swept
 * away.
 */
#pragma once

#include "contract/sink.h"
#include "sink/file/dir.h"

/* The directory is claimed and entered. `saved`: how far the stored position has got; an intent
 * that goes no further is not looked into. ret->delivered stays 0 when there is no intent. FATAL/69
 * when nothing shows what became of a batch. */
int file_recover(const struct file_dir *d, bool with_manifest, uint64_t saved,
                 struct sink_recovery *ret, struct error *err) MUST_CHECK;
