/*
 * One load of one configuration: where in the file a value stands, and what is wrong with it.
 *
 * Everything belongs to one load: the warnings lie in load->memory and stay, paths and the tree lie
 * in load->scratch and go. One thread. Nothing here fails; what reports a mistake returns it.
 */
#pragma once

#include "config/conf_key.h"
#include "config/yaml_tree.h"

/* A mistake that stops nothing. Later ones follow. */
struct conf_warning {
    struct conf_warning *next;
    char *text;
};

/* One load of one configuration. */
struct conf_load {
    const char *file;               /* for messages */
    struct arena *memory;           /* of the values and warnings, which stay */
    struct arena *scratch;          /* of paths and the tree, which are freed after the load */
    const struct conf_later *later; /* words of later versions; may be NULL */
    struct conf_warning *warnings, **warnings_end; /* a list and where its next one goes */
    size_t warnings_count;
    struct buf *faults;  /* gets each mistake as a line, and the load goes on; NULL: the first
                            mistake ends the load */
    struct error *first; /* the first mistake; used with `faults` only */
    size_t faults_count;
    bool is_default; /* the values are defaults of a table: ${VAR} is not replaced, and nothing is
                        warned about */
};

/* Where in the file a value stands. `path` is for people: "pipelines[0].sink". `where` is the same
 * without the pipeline, for the tables of later words: "sink". Both are "" at the top. */
struct conf_place {
    const char *path, *where;
};

/* The place of the key `name` in the map at `at`. It lies in load->scratch. */
struct conf_place conf_place_child(struct conf_load *load, struct conf_place at, const char *name);

/* Fills *err with "file:line: <text>" and class CONFIG. As conf_fail it gives RESULT_ERROR, so that
 * `return conf_fail(...)` reads well. */
void conf_fail_text(const struct conf_load *load, int line, struct error *err, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
#define conf_fail(...) ERROR_RETURN(conf_fail_text(__VA_ARGS__))
/* What to do after a mistake. Returns RESULT_DONE if the load goes on, because all mistakes are
 * wanted: *err is then noted in load->faults. Else RESULT_ERROR. */
int conf_go_on(struct conf_load *load, const struct error *err) MUST_CHECK;
/* Adds a warning, "file:line: <text>", to load->warnings; none for a default. */
void conf_warn(struct conf_load *load, int line, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Whether `name` is a word of a later version at this place. Such a word gets a clearer error than
 * an unknown one. */
bool conf_is_later(const struct conf_load *load, const char *where, const char *name);
