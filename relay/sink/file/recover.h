/*
 * Recovery at start: finishes an interrupted commit and removes the files that a dead relay left
 * behind.
 */
#pragma once

#include "contract/sink.h"
#include "sink/file/dir.h"

/* Called by the pipeline's thread when the directory is claimed and entered. `saved` is the
 * delivery number of the stored position; an intent that goes no further needs no recovery. Fills
 * *ret from the last intent; ret->delivered stays 0 if there is none. FATAL/69 if nothing shows
 * what became of a batch, or if files go further than the stored position. May wait for the disk.
 */
int file_recover(const struct file_dir *d, bool with_manifest, uint64_t saved,
                 struct sink_recovery *ret, struct error *err) MUST_CHECK;
