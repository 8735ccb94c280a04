/* The lines of a file of tests/golden/debezium, as an array the caller owns. */
#pragma once

#include "unit.h"

#include "base/slice.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static inline struct slice text_of(json_t *v)
{
    return json_is_string(v) ? (struct slice){json_string_value(v), json_string_length(v)}
                             : SLICE_NULL;
}

static inline struct slice text_at(json_t *o, const char *name)
{
    return text_of(json_object_get(o, name));
}

static inline json_t *load_lines(const char *name)
{
    char path[512], *text = NULL;
    size_t size = 0;
    json_error_t fault;
    json_t *lines = json_array();
    snprintf(path, sizeof path, GOLDEN_DIR "/debezium/%s.jsonl", name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    for (ssize_t n; (n = getline(&text, &size, f)) > 0;) {
        json_t *line = json_loadb(text, (size_t)n, JSON_ALLOW_NUL, &fault);
        if (!line) {
            fail_msg("%s: %s", path, fault.text);
        }
        json_array_append_new(lines, line);
    }
    free(text);
    fclose(f);
    return lines;
}
