/*
 * Recovery at start: finishes an interrupted commit and removes the files that a dead relay left
 * behind.
 */
#pragma once

#include "contract/sink.h"
#include "sink/file/intent.h"

/* The manifest that the next one follows in the chain. */
struct file_chain {
    uint64_t last;                 /* last number of its batch */
    char sha256[FILE_DIGEST_SIZE]; /* of the manifest; "": it has none */
    int64_t served;                /* as of the intent */
};

/* Sets *chain to the batch that an intent describes. */
void file_chain_follow(struct file_chain *chain, const struct file_intent *i);

/* Called by the pipeline's thread when the directory is claimed and entered. `saved` is the
 * delivery number of the stored position; an intent that goes no further needs no recovery. Fills
 * *ret from the last intent; ret->delivered stays 0 if there is none. Sets *chain; zeros if no
 * batch is known. FATAL/69 if nothing shows what became of a batch, or if files go further than the
 * stored position. May wait for the disk. */
int file_recover(const struct file_dir *d, bool with_manifest, uint64_t saved,
                 struct sink_recovery *ret, struct file_chain *chain, struct error *err) MUST_CHECK;
