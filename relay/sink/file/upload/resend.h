/*
 * Sends files again that targets may have had before, for the command `resend`.
 */
#pragma once

#include "contract/sink.h"
#include "sink/file/conf.h"
#include "sink/file/dir.h"

/* As sink_ops.resend. `d` is initialised; it is opened here, and the caller releases it. Main
 * thread of a command. */
int upload_resend(const struct file_conf *c, struct file_dir *d, const struct sink_resend *what,
                  size_t *ret_files, struct error *err) MUST_CHECK;
