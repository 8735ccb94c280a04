/*
 * Which URLs belong to a plugin. Example: `run --sink file:/var/out` chooses the sink `file`,
 * because its `value` accepts that URL and returns "/var/out"; this then becomes the value of its
 * `key` "dir". URLs come from the command line (`--source`, `--sink`) and from `store.url`.
 *
 * Plain values and functions without state: any thread.
 */
#pragma once

#include "base/error.h"

struct url_form {
    /* Returns what `key` gets of this URL, a piece of `url` or all of it. NULL: the URL is not of
     * this plugin's form. */
    const char *(*value)(const char *url);
    const char *key; /* a key of the plugin's key table; NULL: the URL fills none */

    /* --- sinks only: sources and stores share the forms of their database --- */

    const char *shown; /* the form for people, in help and error texts: "file:DIR" */
    /* Optional: CONFIG for a value that the configuration file may give, but a URL may not. */
    int (*check)(const char *value, struct error *err);
};
