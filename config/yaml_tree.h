/*
 * A YAML document as a tree that remembers its lines. Only the shape is checked here: one document,
 * maps with text keys that appear once, no tags, bounded depth and size. Aliases share the anchor's
 * node and count at their full weight, so that a small file cannot unfold into a large one.
 *
 * All memory is the arena's. Texts are NUL-terminated and hold no NUL.
 */
#pragma once

#include "base/arena.h"
#include "base/error.h"

enum tree_kind { TREE_SCALAR, TREE_LIST, TREE_MAP };

struct tree_pair {
    struct slice key;
    int line; /* of the key */
    const struct tree_node *value;
};

struct tree_node {
    enum tree_kind kind;
    int line;
    struct slice text; /* scalar */
    bool quoted;       /* scalar: written with quotes or as a block, so never a null */
    const struct tree_node **items;
    struct tree_pair *pairs;
    size_t count;  /* of items or pairs */
    size_t weight; /* nodes in this subtree with aliases unfolded */
};

enum {
    TREE_MAX_BYTES = 4 << 20,
    TREE_MAX_DEPTH = 32,
    TREE_MAX_NODES = 100000,
    TREE_MAX_KEYS = 1000
};

/* *ret is NULL for a file without a document. `file` goes into messages. CONFIG on every mistake.
 */
int tree_parse(const char *file, struct slice text, struct arena *memory,
               const struct tree_node **ret, struct error *err) MUST_CHECK;

/* The pair of a map, or NULL. */
const struct tree_pair *tree_find(const struct tree_node *map, const char *key);

/* A plain empty scalar, ~ or null. */
bool tree_is_null(const struct tree_node *node);

/* For error texts: control characters become '?', long text is cut, and what may hold a password (a
 * url in the wrong place) is not shown at all. */
enum { TREE_SHOWN_SIZE = 64 };
const char *tree_shown(struct slice text, char out[TREE_SHOWN_SIZE]);
