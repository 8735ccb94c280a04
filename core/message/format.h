/*
 * A message format is a table of functions: struct format_ops. Only the format's own file knows
 * what is special about it; no other file asks which format is configured. formats.def lists all
 * formats, and docs/ADD-A-FORMAT.md says how to add one.
 *
 * The functions of a format keep no state. They append to the buffer or the arena that they get,
 * which is the caller's. They return RESULT_DONE or RESULT_ERROR with class POISON: the event
 * cannot be encoded, others can. After an error the caller throws away what was appended. The
 * pipeline's thread calls them for every event. The tables themselves are constants; any thread may
 * read them.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "model/change.h"
#include "model/event.h"

struct encode_conf;

/* What a format can make messages of; the values are bits. */
enum format_can {
    FORMAT_OUTBOX = 1, /* events of an outbox table, with a payload of their own */
    FORMAT_CHANGES = 2 /* changes of a table; logical messages count as changes */
};

/* The most headers that a format may add of its own. CloudEvents uses all eight. */
enum { FORMAT_HEADERS_MAX = 8 };

/* The keys under `encode` that every format of table changes obeys. It begins a list of keys. */
#define FORMAT_CHANGE_KEYS                                                                     \
    "name", "skipped_operations", "unavailable_placeholder", "key_columns", "include_columns", \
        "exclude_columns"

struct format_ops {
    unsigned can; /* bits of enum format_can */

    /* `keys`: the keys under `encode` that the format obeys, beside `format` and `headers`. The
     * configuration refuses any other key with this format, because a setting that does nothing
     * would mislead. `outbox_keys`: those of them that it also obeys for outbox events. Both are
     * ended by NULL; a NULL list has no keys. */
    const char *const *keys, *const *outbox_keys;

    /* Checks its keys of the configuration, once, before the first event: CONFIG. NULL: there is
     * nothing to check. */
    int (*check)(const struct encode_conf *conf, struct error *err);

    /* Set for a format whose message has no meaning without its headers: what such a message is
     * called in error texts ("a CloudEvent"). A sink that has no place for headers is then refused.
     * NULL: any sink will do. */
    const char *message_only;

    /* --- of any event; each may be NULL --- */

    /* Whether the format itself writes a header of this name. The configuration may then not give
     * the name to another header, or the message would have it twice. NULL: it writes none. */
    bool (*own_header)(const char *name);

    /* Writes the format's own headers into `out`, which has room for FORMAT_HEADERS_MAX, and how
     * many into *ret_count. Names and values are static, in `arena`, or borrowed from the event or
     * conf. NULL: there are none. */
    int (*headers)(const struct encode_conf *conf, const struct event *e, struct arena *arena,
                   struct header *out, size_t *ret_count, struct error *err);

    /* Appends the message's value to `out`, which comes empty. NULL: the value is the payload as it
     * is. */
    int (*value)(const struct encode_conf *conf, const struct event *e, struct arena *arena,
                 struct buf *out, struct error *err);

    /* The member of the value, a JSON object, that holds the payload; for a payload of bytes
     * "_base64" is added to its name. NULL: the value is the payload. */
    const char *payload_member;

    /* --- of table changes; with FORMAT_CHANGES the first three must be set --- */

    /* Says which events the format wants made from a change. `ret` comes zeroed but for `skip`. */
    void (*shape)(const struct encode_conf *conf, struct change_shape *ret);

    /* Appends the row identity as the message key, from `cells` (one for each column of the table).
     * Appends nothing where the table has no key. */
    int (*change_key)(const struct encode_conf *conf, const struct change *c,
                      const struct cell *cells, struct buf *out, struct error *err);

    /* Appends the change as the event's payload, which is JSON. Appends nothing where the payload
     * is null. */
    int (*change_value)(const struct encode_conf *conf, const struct change *c, struct buf *out,
                        struct error *err);

    /* Appends a JSON object with headers for this change, or nothing. NULL: there are none. */
    int (*change_headers)(const struct encode_conf *conf, const struct change *c, struct buf *out,
                          struct error *err);
};

/* The words of `encode.format` and the help text of each, in the sequence of formats.def, ended by
 * NULL. They are constant data, so that a key table (config/conf_key.h) can point to them. */
extern const char *const format_words[];
extern const char *const format_helps[];

/* The format with this index in format_words. The index must be valid: the configuration gives one.
 */
const struct format_ops *format_at(int index);

/* The word of a format; "" for one that is not in formats.def, such as one of a test. Static. */
const char *format_name(const struct format_ops *format);

/* Which formats format_list names: those that can do all of `can` (bits of enum format_can), that
 * obey `key` (NULL: any), and with `lines` only those that need no headers (message_only). */
struct format_wanted {
    unsigned can;
    const char *key;
    bool lines;
};

/* Appends the words of those formats, for error texts: "a, b or c" when `last` is "or". */
void format_list(struct buf *out, struct format_wanted wanted, const char *last);
