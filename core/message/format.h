/*
 * What a format of messages is: a table of functions, so that no file but the format's own asks
 * which one is configured. formats.def lists them; docs/ADD-A-FORMAT.md says how to add one.
 *
 * The functions are pure. They write into the buffer or the arena that they get. The pipeline's
 * thread calls them for every event.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "model/change.h"
#include "model/event.h"

struct encode_conf;

/* What a format can make messages of. */
enum format_can {
    FORMAT_OUTBOX = 1, /* events of an outbox table, with a payload of their own */
    FORMAT_CHANGES = 2 /* changes of a table, and logical messages as changes */
};

enum { FORMAT_HEADERS_MAX = 8 };

/* The keys of `encode` that every format of changes obeys. */
#define FORMAT_CHANGE_KEYS "name", "skipped_operations", "unavailable_placeholder"

struct format_ops {
    unsigned can; /* enum format_can */

    /* The keys of `encode` that it obeys, beside `format` and `headers`; ended by NULL. The
     * configuration refuses every other key with this format. `outbox_keys` are those of them that
     * it also obeys for outbox events. NULL: none. */
    const char *const *keys, *const *outbox_keys;

    /* For a format whose message is nothing without its headers: what such a message is called ("a
     * CloudEvent"). A sink that has no place for headers is refused. NULL: any sink takes it. */
    const char *message_only;

    /* --- of any event; each may be NULL --- */

    /* Is a header of this name one that the format writes itself? The configuration may then not
     * name another one so. NULL: none is. */
    bool (*own_header)(const char *name);

    /* The format's own headers, into `out`, which has room for FORMAT_HEADERS_MAX. POISON. NULL:
     * none. */
    int (*headers)(const struct encode_conf *conf, const struct event *e, struct arena *arena,
                   struct header *out, size_t *ret_count, struct error *err);

    /* The message's value, into an empty `out`. POISON. NULL: the payload as it is. */
    int (*value)(const struct encode_conf *conf, const struct event *e, struct arena *arena,
                 struct buf *out, struct error *err);

    /* --- of changes; with FORMAT_CHANGES the first three must be there --- */

    /* Which events it wants made from a change. `ret` comes empty but for `skip`. */
    void (*shape)(const struct encode_conf *conf, struct change_shape *ret);

    /* Adds the row identity as the message's key; nothing where the table has none. `cells` say the
     * row. POISON. */
    int (*change_key)(const struct encode_conf *conf, const struct change *c,
                      const struct cell *cells, struct buf *out, struct error *err);

    /* Adds the change as the event's payload, which is JSON. POISON. */
    int (*change_value)(const struct encode_conf *conf, const struct change *c, struct buf *out,
                        struct error *err);

    /* Adds a JSON object with headers for this change, or nothing. POISON. NULL: none. */
    int (*change_headers)(const struct encode_conf *conf, const struct change *c, struct buf *out,
                          struct error *err);
};

/* The formats' words and what the reference says of each, in the order of formats.def; ended by
 * NULL. They are there when the program is compiled, so that a key table can name them. */
extern const char *const format_words[];
extern const char *const format_helps[];

/* By its place in format_words. */
const struct format_ops *format_at(int index);

/* Its word; "" for one that is not in formats.def. */
const char *format_name(const struct format_ops *format);

/* Which formats format_list names: those that can say all of `can`, that obey `key` (NULL: any),
 * and with `lines` only those that every sink takes. */
struct format_wanted {
    unsigned can;
    const char *key;
    bool lines;
};

/* Adds their words, for error texts: "a, b or c" with `last` "or". */
void format_list(struct buf *out, struct format_wanted wanted, const char *last);
