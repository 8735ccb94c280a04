/*
 * Parses a YAML document into a tree whose nodes know their lines. Only the shape is checked here:
 * one document, maps whose keys are texts and come once, no tags, limited depth and size.
 *
 * An alias is not copied; it points to the node of its anchor. But each use counts as many nodes as
 * that node has: otherwise a small file could unfold into millions of values, because code that
 * walks the tree visits them again and again.
 *
 * All memory is the arena's, and the tree does not change. Texts are NUL-terminated and hold no
 * NUL. One thread for each arena.
 */
#pragma once

#include "base/arena.h"
#include "base/error.h"

enum tree_kind { TREE_SCALAR, TREE_LIST, TREE_MAP };

/* A key of a map and its value. */
struct tree_pair {
    struct slice key;
    int line; /* of the key */
    const struct tree_node *value;
};

/* A value of the document with the line where it begins, counted from 1. */
struct tree_node {
    enum tree_kind kind;
    int line;
    struct slice text; /* TREE_SCALAR: its text */
    bool quoted;       /* TREE_SCALAR: written with quotes or as a block, so it is never a null */
    const struct tree_node **items;
    struct tree_pair *pairs;
    size_t count;  /* of items (TREE_LIST) or pairs (TREE_MAP) */
    size_t weight; /* nodes in this subtree; an alias counts all nodes of its anchor */
};

/* Limits of a configuration file: bytes, levels, nodes with aliases unfolded, keys of one map. */
enum {
    TREE_MAX_BYTES = 4 << 20,
    TREE_MAX_DEPTH = 32,
    TREE_MAX_NODES = 100000,
    TREE_MAX_KEYS = 1000
};

/* Parses `text`. *ret is NULL if it has no document. `file` stands for the file in messages. CONFIG
 * with "file:line: ..." for every mistake; RESULT_DONE or RESULT_ERROR. */
int tree_parse(const char *file, struct slice text, struct arena *memory,
               const struct tree_node **ret, struct error *err) MUST_CHECK;

/* The pair with this key; NULL if there is none or `map` is no map (or NULL). */
const struct tree_pair *tree_find(const struct tree_node *map, const char *key);

/* Whether the node is a null: nothing, ~ or null, without quotes. */
bool tree_is_null(const struct tree_node *node);

/* Text of the file made fit for an error text: control characters and backquotes become "?", long
 * text is cut, and text that may hold a password (such as a URL in the wrong place) is not shown at
 * all. Returns `out`. */
enum { TREE_SHOWN_SIZE = 64 };
const char *tree_shown(struct slice text, char out[TREE_SHOWN_SIZE]);
