/*
 * The main loop of `commitrelay run`: signals, reloads, the admin port, systemd's watchdog, and the
 * fleet of pipelines. All of it happens on the main thread, which waits in one poll(2).
 */
#pragma once

#include "base/error.h"
#include "config/config.h"

struct supervisor_options {
    const char *file;        /* read again at SIGHUP; NULL: there is none */
    const char *const *only; /* pipelines to run; none = all */
    size_t only_count;
    bool until_idle;
};

/* Runs until all pipelines have ended. Returns the exit code of the process: of the pipeline that
 * failed first, of a failure to start, or 0. The first SIGTERM or SIGINT drains; the second one
 * ends the process at once, with 130. Takes the configuration over, and configures the log from it.
 */
int supervisor_run(const struct supervisor_options *options, struct config *take_config) MUST_CHECK;
