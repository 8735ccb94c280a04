/*
 * The process while it relays: signals, reloads, the admin port, systemd's watchdog, and the fleet
 * of pipelines. Everything here happens on the main thread, in one poll(2).
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

/* Runs until everything has ended and returns the exit code; the second SIGTERM or SIGINT ends the
 * process at once, with 130. Takes the configuration over. The log is configured from it. */
int supervisor_run(const struct supervisor_options *options, struct config *take_config);
