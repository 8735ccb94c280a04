/*
 * Loads the YAML configuration into plain structs and checks it. Every mistake is an error that
 * names file, line, key and, where it helps, the nearest known key.
 *
 * The plugins' keys come from their key tables, which the caller passes in: the registry is in
 * relay/daemon, and this layer knows only tables. A struct config owns everything in it, strings
 * included, and config_free frees it as a whole.
 *
 * Any thread may load; the daemon's main thread does at the start and on SIGHUP. Loading reads
 * files and the environment and changes nothing global. A struct config does not change afterwards,
 * so threads may share it. Functions that can fail return RESULT_DONE or RESULT_ERROR.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "config/conf_key.h"
#include "value/digest.h"

/* What the configuration needs to know of a plugin. Static data of the registry. */
struct conf_plugin {
    const char *name, *help;
    const struct conf_key *keys;
    size_t conf_size; /* bytes of the struct that `keys` fill */
};

/* All plugins. The caller owns it; the configuration points into it. */
struct conf_plugins {
    const struct conf_plugin *sources, *sinks; /* each ended by a NULL name */
    const struct conf_later *later;            /* words of later versions; may be NULL */
    bool (*is_store_url)(const char *url); /* whether the text looks like the URL of some store */
    const struct conf_plugin *origins;     /* `from` of a consumer; NULL: none is known */
};

/* What the file says under `route`; core/message/route.h explains the texts. */
struct conf_route {
    char *topic, *key, *partition;
    int timestamp; /* CONF_TIMESTAMP_* */
    struct conf_list allow_topics;
    struct { /* "": there is no rewriting */
        char *match, *to, *key_field;
    } topic_rewrite;
    bool topic_given, key_given; /* whether the file has the key; without it table changes have
                                    other defaults: see core/message/route.h */
};
enum { CONF_TIMESTAMP_CREATED_AT, CONF_TIMESTAMP_NOW };

/* The schema registry of `encode.value: avro` and `json_schema`. */
struct conf_registry {
    char *url, *username, *password, *ca_file;
    int subject; /* CONF_SUBJECT_* */
    int64_t connect_timeout_us, timeout_us;
};
enum { CONF_SUBJECT_TOPIC, CONF_SUBJECT_RECORD };

/* What the file says under `encode`. A key that the format does not list (format_ops.keys) is
 * refused. */
struct conf_encode {
    int format; /* index for format_at */
    struct conf_named_list headers;
    char *name;   /* "": the name of the pipeline */
    char *source; /* the CloudEvents attribute; "": /commitrelay/<name> */
    int decimal, time, binary, interval, hstore; /* enum encode_decimal and the four behind it */
    int value;                                   /* enum encode_value */
    struct conf_registry registry;
    bool tombstones, schemas, transaction_metadata;
    char *heartbeat_topic; /* "": none */
    struct conf_list skipped_operations;
    char *unavailable_placeholder;
    char *flat_prefix;
    struct conf_lists key_columns; /* by table, as schema.table */
    struct conf_list include_columns, exclude_columns;
    bool expand_json, blank_is_null;
    struct conf_map envelope; /* by column: the name beside the payload */
    struct {
        struct conf_list add_fields, add_headers;
        char *fields_prefix, *headers_prefix;
        int deletes; /* enum unwrap_deletes */
    } unwrap;
    /* Which keys the file has; conf_encode_unused needs it. */
    struct {
        bool name, source, decimal, time, binary, interval, hstore, tombstones,
            unavailable_placeholder, flat_prefix, value, schemas, unwrap, expand_json,
            blank_is_null, envelope, transaction_metadata, heartbeat_topic;
    } given;
};

/* The first key under `encode` that the file has and that is not in `used` (a list of format_ops,
 * ended by NULL; NULL is an empty list). NULL: there is none. Such a key would do nothing with the
 * format, so the caller refuses it. Static. */
const char *conf_encode_unused(const struct conf_encode *e, const char *const *used);

enum { CONF_BREAKER_WINDOW_MAX = 1000 }; /* the size of the ring in relay/pipeline/breaker.h */

/* What the file says under `delivery`; conf_core.c has defaults and help texts. Names that end in
 * _us are microseconds, names that end in _bytes are bytes. */
struct conf_delivery {
    /* Events in flight, their bytes, and the bytes of one event; all at most. */
    int64_t max_in_flight, max_in_flight_bytes, max_event_bytes;
    int64_t save_interval_us, drain_timeout_us;
    struct {
        int64_t initial_us, max_us;
    } retry;
    struct {
        int64_t window;       /* attempts */
        double failure_ratio; /* 0 to 1 */
        int64_t open_for_us;
    } breaker;
    int poison; /* CONF_POISON_* */
    struct {
        int64_t max_keys, max_events; /* at most; the pipeline blocks before there are more */
    } park;
    int64_t attempts;        /* tries of a suspect event before it is a dead letter */
    char *dead_letter_topic; /* "": none */
    bool ordered;            /* refuse a source that cannot keep the events of a key in sequence */
    bool at_most_once;       /* allow a sink that keeps nothing */
};
enum { CONF_POISON_STOP, CONF_POISON_SKIP, CONF_POISON_PARK_KEY };

/* One rule of `mask`; message/mask/mask.h explains it. */
struct conf_mask {
    char *field;
    int how;   /* CONF_MASK_* */
    char *key; /* secret; "" but for hmac, hash and hash_v2 */
    int64_t length;
    bool length_given;
    int algorithm; /* index into conf_mask_algorithms */
    bool algorithm_given;
};

/* In the sequence of enum mask_how. */
enum {
    CONF_MASK_DROP,
    CONF_MASK_NULL,
    CONF_MASK_REDACT,
    CONF_MASK_LAST4,
    CONF_MASK_HMAC,
    CONF_MASK_SHA256,
    CONF_MASK_STARS,
    CONF_MASK_TRUNCATE,
    CONF_MASK_HASH,
    CONF_MASK_HASH_V2
};

/* The names of digests, as OpenSSL and Java have them; ended by NULL. */
extern const char *const conf_mask_algorithms[];

enum { CONF_MASK_MAX = 64 }; /* rules; MASK_RULES_MAX */

struct conf_mask_list {
    struct conf_mask *items;
    size_t count;
};

/* One entry of `pipelines`. */
struct conf_pipeline {
    char *name;
    int line; /* line of the name, for messages */
    const struct conf_plugin *source, *sink;
    void *source_conf, *sink_conf; /* conf_size bytes each, filled by the plugin's key table */
    struct conf_route route;
    struct conf_encode encode;
    struct conf_delivery delivery;
    struct conf_mask_list mask;
    char *fingerprint; /* a text of all its settings, with secrets hashed. If a reload gives an
                          equal text, the pipeline is left running */
};

/* One entry of `consumers`; conf_consumer.c has defaults and help texts. */
struct conf_consumer {
    char *name;
    int line; /* of the name, for messages */
    const struct conf_plugin *from;
    void *from_conf; /* from->conf_size bytes, filled by its key table */
    char *group;     /* "": the name */
    struct {
        char *url;
    } inbox;
    struct { /* one of the four is given */
        char *into, *call;
        struct conf_list exec, exec_stream;
    } apply;
    int format; /* CONF_CONSUME_* */
    int poison; /* CONF_POISON_* */
    struct {
        int64_t max_keys, max_events;
    } park;
    int64_t workers;    /* keys that are applied at the same time */
    int64_t batch_size; /* events of one transaction, at most */
    int64_t attempts;   /* tries of an event, alone, before it is poison */
    struct {
        int64_t initial_us, max_us;
    } retry;
    int64_t drain_timeout_us;
    char *flat_prefix;
    int decimal;       /* CONF_DECIMAL_*: how Debezium's decimals come */
    char *fingerprint; /* as that of a pipeline */
};

/* In the sequence of the words of `decimal` and `format`. */
enum { CONF_DECIMAL_PRECISE, CONF_DECIMAL_STRING, CONF_DECIMAL_DOUBLE };
enum { CONF_CONSUME_JSON, CONF_CONSUME_FLAT, CONF_CONSUME_DEBEZIUM, CONF_CONSUME_PAYLOAD };

/* A whole configuration. config_free frees it with everything in it. */
struct config {
    char *file; /* as in the error texts */
    struct {
        char *url;
        int64_t lease_us; /* 0: the lock has no time limit */
    } store;
    struct {
        int level, format;
    } log; /* enum log_level, enum log_format */
    struct {
        char *listen, *socket;
        bool socket_given; /* whether the file has the key */
        struct conf_list hosts;
        char *token;  /* secret; "": there is none */
        bool actions; /* the console may act */
    } admin;
    struct {
        int64_t keep_us; /* how long one is kept that was retried or dropped */
    } dead_letters;
    struct {
        char *path; /* as in the file; "": there is no audit log */
    } audit;
    char digest[DIGEST_HEX_SIZE]; /* SHA-256 of the file's text */
    struct conf_pipeline *pipelines;
    size_t pipelines_count;
    struct conf_consumer *consumers;
    size_t consumers_count; /* there is a pipeline or a consumer */
    char **warnings; /* such as a world-readable secret file or a password in the file itself: the
                        caller logs them, and they stop nothing */
    size_t warnings_count;
    void *memory; /* an arena with all of the above; private */
};

/* Loads a file: parses it, replaces ${VAR}, reads the files that *_file keys name, and checks
 * everything. CONFIG with "file:line: ..." in the text; FATAL only for a bug in a key table. The
 * caller frees *ret with config_free. */
int config_load(const char *path, const struct conf_plugins *plugins, struct config **ret,
                struct error *err) MUST_CHECK;

/* The same from text, for a configuration made of command line options, tests and fuzzing. `name`
 * stands for the file in messages. */
int config_parse(const char *name, struct slice yaml, const struct conf_plugins *plugins,
                 struct config **ret, struct error *err) MUST_CHECK;

/* The same, but going on after a mistake, for `check`. `faults` gets one line for each mistake, at
 * most 100, and *err is the first one. */
int config_load_all(const char *path, const struct conf_plugins *plugins, struct buf *faults,
                    struct config **ret, struct error *err) MUST_CHECK;
int config_parse_all(const char *name, struct slice yaml, const struct conf_plugins *plugins,
                     struct buf *faults, struct config **ret, struct error *err) MUST_CHECK;

/* Loads a file that holds one key, `sink`, as it stands in a pipeline; or the same from text. The
 * configuration has one pipeline, with its sink and nothing else. */
int config_load_sink(const char *path, const struct conf_plugins *plugins, struct config **ret,
                     struct error *err) MUST_CHECK;
int config_parse_sink(const char *name, struct slice yaml, const struct conf_plugins *plugins,
                      struct config **ret, struct error *err) MUST_CHECK;

/* Overwrites the memory first, because passwords lie in it. NULL is fine. */
void config_free(struct config *c);

/* Fills a plugin's struct with the defaults of its table. What the struct points to belongs to
 * *ret_memory, which config_defaults_free frees. FATAL if the table refuses its own default. */
int config_defaults(const struct conf_key *keys, void *conf, void **ret_memory,
                    struct error *err) MUST_CHECK;
void config_defaults_free(void *memory);

/* Appends the Markdown reference of all keys, made from the key tables: `commitrelay reference
 * config` prints it, and config/REFERENCE.md is a copy of it. */
void config_reference(struct buf *out, const struct conf_plugins *plugins);
