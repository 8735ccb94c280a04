/*
 * Key tables. Each module of the program and each plugin lists in one table which configuration
 * keys it has. The loader fills the module's plain struct from YAML by the table, and `commitrelay
 * reference config` is printed from it.
 *
 * Tables are constant data; any thread may read them. The values that they describe belong to the
 * loaded configuration (config/config.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The type of a key, and in the comment the type of the field that it fills. */
enum conf_type {
    CONF_STRING, /* char *: never NULL after loading; "" if the key is absent and has no default */
    CONF_SECRET, /* char *: as STRING, but <name>_file may name a file with the value, and it is
                    never printed. For URLs too, because they may hold a password */
    CONF_BOOL,   /* bool */
    CONF_INT,    /* int64_t, min..max */
    CONF_RATIO,  /* double; min and max are in thousandths */
    CONF_DURATION, /* int64_t microseconds; needs a unit: us ms s m h d */
    CONF_SIZE,     /* int64_t bytes; needs a unit: B KB MB GB KiB MiB GiB */
    CONF_ENUM,     /* int: index into `choices` */
    CONF_LIST,     /* struct conf_list */
    CONF_NAMED, /* struct conf_named_list: words of `choices`, and maps that give a name to a column
                   or value */
    CONF_MAP,   /* struct conf_map: any keys, with texts as values; <name>_file is a map of keys to
                   files that hold the values */
    CONF_LISTS, /* struct conf_lists: a map of any keys, with a list of texts each */
    CONF_GROUP, /* a nested map; its own table describes the fields from `offset` on */
    CONF_GROUPS, /* struct conf_groups: a list of at most `max` maps; `group` describes each */
};

/* The field of a CONF_LIST: texts without duplicates, unless the key `repeats`. */
struct conf_list {
    char **items;
    size_t count;
    bool given; /* whether the file has the key */
};

/* An item of a CONF_NAMED: {column: C, as: N} or {value: V, as: N}. */
struct conf_named {
    char *as;
    char *column, *value; /* one of them is set, the other is NULL */
    size_t place;         /* among all items of the list, words included; from 0 */
};

/* The field of a CONF_NAMED. The two lists are kept apart; each keeps the sequence of the file, and
 * `place` tells how they were mixed. */
struct conf_named_list {
    struct conf_list words;
    struct conf_named *items;
    size_t count;
};

/* The field of a CONF_MAP. No name comes twice. */
struct conf_map {
    struct conf_pair {
        char *name, *value;
    } * pairs;
    size_t count;
};

/* The field of a CONF_LISTS. No name comes twice. */
struct conf_lists {
    struct conf_named_texts {
        char *name;
        struct conf_list texts;
    } * items;
    size_t count;
    bool given; /* whether the file has the key */
};

/* The field of a CONF_GROUPS: `count` structs of group_size bytes each. */
struct conf_groups {
    void *items;
    size_t count;
};

/* One key of a table. */
struct conf_key {
    const char *name;
    enum conf_type type;
    size_t offset;        /* of the field in the struct */
    const char *fallback; /* the default, written as in YAML: "1s", "[id, type]"; NULL: none, so "",
                             0, false or empty */
    int64_t min, max; /* INT, RATIO (thousandths), DURATION (microseconds), SIZE (bytes); both 0:
                         any value that is not negative */
    const char *const *choices; /* ENUM: the words; LIST: the only items; ended by NULL */
    const char *const
        *choices_help;            /* ENUM: what each word means, for the reference; may be NULL */
    const char *const *later;     /* ENUM: words of later versions, ended by NULL; may be NULL */
    const struct conf_key *group; /* GROUP: its key table; GROUPS: that of each item */
    size_t group_size;            /* GROUPS: bytes of the struct that `group` describes */
    bool repeats;        /* LIST: an item may be empty or come twice, as the words of a command */
    bool shown;          /* MAP: its values are no secrets. They are shown, and there is no
                            <name>_file */
    bool required;       /* must be given and not be empty; with a default it may be absent */
    size_t given_offset; /* if not 0: the offset of a bool that says whether the file has the key */
    const char *help;    /* one line for the reference */
};

/* A table is ended by an entry whose name is NULL. */
#define CONF_END     \
    {                \
        .name = NULL \
    }

/* A word of a later version: a key or type of this name gets the error "not in this version".
 * `where` is the place in the file, as conf_place.where has it. */
struct conf_later {
    const char *where, *name;
};
