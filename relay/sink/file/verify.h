/*
 * Checks a folder of batch files: each file against its manifest, the numbers without a gap, the
 * chain of manifests, and with a key the HMACs. It needs nothing but the files, so it works on
 * copies at a partner's.
 */
#pragma once

#include "contract/sink.h"

/* As sink_ops.verify. */
int file_verify(const char *dir, struct slice key, const struct sink_watch *watch,
                struct sink_verdict *ret, struct error *err) MUST_CHECK;
