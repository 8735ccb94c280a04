/*
 * A text of all settings in a struct, made by its key table. A reload compares the texts of a
 * pipeline's old and new settings and restarts it if they differ. Any thread.
 */
#pragma once

#include "base/buf.h"
#include "config/conf_key.h"

/* Appends one line "prefix.key=value" for each key. A key that names a file
 * with certificates or keys also gives the hash of what the file holds, so that a reload takes a
 * renewed certificate for a change. Texts that may hold a secret are written as length and 64-bit
 * hash: the text does not show them, but a weak password could be guessed from it, so it is kept in
 * memory only. */
void conf_fingerprint(struct buf *out, const char *prefix, const struct conf_key *keys,
                      const void *base);
