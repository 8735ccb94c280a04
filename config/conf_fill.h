/*
 * Fills a plain struct from a map of the file by a key table, and checks everything the table says.
 */
#pragma once

#include "config/conf_key.h"
#include "config/yaml_tree.h"

struct conf_warning {
    struct conf_warning *next;
    char *text;
};

/* One load of one configuration. */
struct conf_load {
    const char *file;
    struct arena *memory;           /* of the values that stay */
    struct arena *scratch;          /* of paths and the tree: gone after the load */
    const struct conf_later *later; /* the plugins'; may be NULL */
    struct conf_warning *warnings, **warnings_end;
    size_t warnings_count;
    struct buf *faults;  /* NULL: the first mistake ends the load; else each is noted here */
    struct error *first; /* of `faults` */
    size_t faults_count;
    bool is_default; /* values come from a table's `fallback`: no ${VAR}, no warnings */
};

/* Where in the file: "pipelines[0].sink" for people, "sink" for the tables of later words. Both ""
 * at the top. */
struct conf_place {
    const char *path, *where;
};

struct conf_place conf_place_child(struct conf_load *load, struct conf_place at, const char *name);

/* "file:line: ..." as CONFIG. */
void conf_fail_text(const struct conf_load *load, int line, struct error *err, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
#define conf_fail(...) ERROR_RETURN(conf_fail_text(__VA_ARGS__)) /* always -1 */
/* Behind a mistake: 0 where all mistakes are wanted (it is noted, and the load goes on), else -1.
 */
int conf_go_on(struct conf_load *load, const struct error *err);
void conf_warn(struct conf_load *load, int line, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* `map` NULL: absent, so defaults only. `extra` (NULL-terminated, may be NULL): keys that the
 * caller reads itself. */
int conf_fill(struct conf_load *load, struct conf_place at, int line, const struct tree_node *map,
              const struct conf_key *keys, const char *const *extra, void *base,
              struct error *err) MUST_CHECK;

/* A single value with ${VAR} replaced, never null; *ret_expanded may be NULL. `at` is the value's
 * own place. */
int conf_scalar(struct conf_load *load, struct conf_place at, const struct tree_node *node,
                char **ret, bool *ret_expanded, struct error *err) MUST_CHECK;

/* Refuses what is no map; a null is an empty map (*ret NULL). */
int conf_expect_map(struct conf_load *load, struct conf_place at, const struct tree_node *node,
                    const struct tree_node **ret, struct error *err) MUST_CHECK;

/* Is the word one of a later version? */
bool conf_is_later(const struct conf_load *load, const char *where, const char *name);
