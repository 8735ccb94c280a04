/*
 * Key tables: each part of the program and each plugin says in one table which configuration keys
 * it has. The loader fills the part's plain struct from YAML by the table, and `commitrelay
 * reference config` is printed from it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum conf_type {
    CONF_STRING, /* char *: never NULL after loading, "" if absent without a default */
    CONF_SECRET, /* char *: as STRING; also accepted as <name>_file; never printed. For urls too */
    CONF_BOOL,   /* bool */
    CONF_INT,    /* int64_t, min..max */
    CONF_RATIO,  /* double, min..max taken in thousandths */
    CONF_DURATION, /* int64_t microseconds; needs a unit: us ms s m h d */
    CONF_SIZE,     /* int64_t bytes; needs a unit: B KB MB GB KiB MiB GiB */
    CONF_ENUM,     /* int: index into `choices` */
    CONF_LIST,     /* struct conf_list */
    CONF_NAMED,    /* struct conf_named_list: words of `choices`, and maps that name a value */
    CONF_MAP,      /* struct conf_map: any key, string values; those of <name>_file are read from
                      the files named there */
    CONF_GROUP,    /* a nested map with a key table of its own, at `offset` */
};

struct conf_list {
    char **items;
    size_t count;
    bool given; /* the file has the key */
};

/* {column: C, as: N} or {value: V, as: N}. */
struct conf_named {
    char *as;
    char *column, *value; /* one of them; the other is NULL */
};

struct conf_named_list {
    struct conf_list words;
    struct conf_named *items;
    size_t count;
};

struct conf_map {
    struct conf_pair {
        char *name, *value;
    } * pairs;
    size_t count;
};

struct conf_key {
    const char *name;
    enum conf_type type;
    size_t offset;
    const char *
        fallback; /* the default, written as in YAML: "1s", "[id, type]"; NULL: none ("" / empty) */
    int64_t min, max; /* INT, RATIO, DURATION (us), SIZE; both 0 = any value that is not negative */
    const char *const *choices; /* ENUM: NULL-terminated; LIST: the only items allowed */
    const char *const
        *choices_help;        /* ENUM: what each of them means, for the reference; may be NULL */
    const char *const *later; /* ENUM: known words that this version refuses by name; may be NULL */
    const struct conf_key *group; /* GROUP: its keys, ended by a NULL name */
    bool required;                /* with a fallback: may be absent, but not empty */
    size_t given_offset; /* if not 0: a bool at this offset, set when the file has the key */
    const char *help;    /* one line for the reference */
};

/* A table is ended by an entry whose name is NULL. */
#define CONF_END     \
    {                \
        .name = NULL \
    }

/* Words that belong to later versions: a key of this name is refused as "not in this version". */
struct conf_later {
    const char *where, *name;
};
