/*
 * Room on the disk of the batch files. The relay stops taking events while less than `reserve` is
 * free, so that what is open can be completed, and so that other programs still find room. One
 * thread.
 */
#pragma once

#include "sink/file/dir.h"

struct file_space {
    int64_t reserve;    /* bytes; 0: the disk is not looked at */
    int64_t look_at_us; /* when to look again (monotonic) */
    uint64_t unseen;    /* bytes that were written since the last look */
    bool low;           /* as of the last look */
    uint64_t free;      /* bytes, as of the last look */
};

/* Whether there is too little room. `bytes` were written since the last call. Looks at the disk
 * four times a second, and whenever a sixteenth of the reserve was written: a fast disk would be
 * full before the time. Once there was too little, a quarter more than the reserve has to be free,
 * so that it does not change to and fro. */
bool file_space_low(struct file_space *s, const struct file_dir *d, uint64_t bytes, int64_t now_us);

/* Sets *err to what is to be said of it: RETRY/74 with the code ENOSPC. Returns -1. */
int file_space_error(const struct file_space *s, const struct file_dir *d, struct error *err);
