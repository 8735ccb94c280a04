/*
 * Runs the command of `on_complete` for one batch file, without a shell. It waits for the command's
 * end, so only a thread of its own (target.h) calls it.
 */
#pragma once

#include "base/error.h"
#include "config/conf_key.h"
#include "sink/file/upload/wait.h"

/* In each word {file} and {manifest} stand for the two paths; `manifest` is "" where there is none.
 * The command has no input, a small environment (docs/BATCH-FILES.md), and its output goes to where
 * our log goes. DONE: it ended with 0.
 * ERROR: RETRY if it ended otherwise, CONFIG if it cannot be run. When `wait` is stopped, it gets
 * SIGTERM, and SIGKILL after two seconds. */
int upload_command_run(const struct conf_list *words, const char *file, const char *manifest,
                       struct upload_wait *wait, struct error *err) MUST_CHECK;
