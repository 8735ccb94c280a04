/*
 * The form of URL that means a plugin: on the command line (`--source`, `--sink`) and as
 * `store.url`.
 */
#pragma once

#include "base/error.h"

struct url_form {
    /* What `key` gets of a URL of this form, a piece of it or all; NULL: it is of another form. */
    const char *(*value)(const char *url);
    const char *key; /* of the plugin's key table; NULL: the URL fills none */

    /* --- sinks only: sources and stores share the forms of their database --- */

    const char *shown; /* for help and refusals: "file:DIR" */
    /* Optional: CONFIG for a value that the key takes and a URL may not give. */
    int (*check)(const char *value, struct error *err);
};
