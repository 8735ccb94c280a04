/*
 * YAML in, checked plain structs out. Every mistake is an error that names file, line, key and the
 * nearest known key.
 *
 * The plugins' own keys come from their key tables, which the caller hands in (the registry lives
 * in relay/daemon; this layer knows only tables). Owner of everything: struct config, freed as a
 * whole. Loading may happen on the main thread at any time (SIGHUP); nothing global is touched.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "config/conf_key.h"

/* A plugin as far as the configuration is concerned. */
struct conf_plugin {
    const char *name, *help;
    const struct conf_key *keys;
    size_t conf_size;
};

struct conf_plugins {
    const struct conf_plugin *sources, *sinks; /* each ended by a NULL name */
    const struct conf_later *later;        /* plugin and key names of later versions; NULL where */
    bool (*is_store_url)(const char *url); /* has it the form of some store's URL? */
};

struct conf_route {
    char *topic, *key, *partition;
    int timestamp; /* CONF_TIMESTAMP_* */
    struct conf_list allow_topics;
    bool topic_given, key_given; /* the defaults of changes are others: see route.h */
};
enum { CONF_TIMESTAMP_CREATED_AT, CONF_TIMESTAMP_NOW };

/* A key beside `format` and `headers` is refused with a format that does not list it
 * (format_ops.keys). */
struct conf_encode {
    int format; /* of format_at */
    struct conf_named_list headers;
    char *name;                                  /* "": the pipeline's */
    char *source;                                /* CloudEvents; "": /commitrelay/<name> */
    int decimal, time, binary, interval, hstore; /* enum encode_decimal and so on */
    bool tombstones;
    struct conf_list skipped_operations;
    char *unavailable_placeholder;
    char *flat_prefix;
    struct {
        bool name, source, decimal, time, binary, interval, hstore, tombstones,
            unavailable_placeholder, flat_prefix;
    } given;
};

/* The first key that the file gives and `used` (a list of format_ops, ended by NULL or NULL) does
 * not have; NULL: there is none. */
const char *conf_encode_unused(const struct conf_encode *e, const char *const *used);

enum { CONF_BREAKER_WINDOW_MAX = 1000 }; /* the room of its ring (pipeline/breaker.h) */

struct conf_delivery {
    int64_t max_in_flight, max_in_flight_bytes, max_event_bytes;
    int64_t save_interval_us, drain_timeout_us;
    struct {
        int64_t initial_us, max_us;
    } retry;
    struct {
        int64_t window;
        double failure_ratio;
        int64_t open_for_us;
    } breaker;
    int poison; /* CONF_POISON_* */
    int64_t attempts;
    char *dead_letter_topic;
    bool ordered;
};
enum { CONF_POISON_STOP, CONF_POISON_SKIP };

struct conf_pipeline {
    char *name;
    int line; /* of the name, for messages */
    const struct conf_plugin *source, *sink;
    void *source_conf, *sink_conf; /* conf_size bytes each, filled by the plugin's table */
    struct conf_route route;
    struct conf_encode encode;
    struct conf_delivery delivery;
    char *fingerprint; /* the text of all its settings, secrets hashed: equal = a reload leaves it
                          alone */
};

struct config {
    char *file;
    struct {
        char *url;
        int64_t lease_us;
    } store;
    struct {
        int level, format;
    } log; /* enum log_level, enum log_format */
    struct {
        char *listen, *socket;
        bool socket_given;
        struct conf_list hosts;
    } admin;
    struct conf_pipeline *pipelines;
    size_t pipelines_count;
    char **warnings; /* a world-readable secret file, an inline password: to be logged, not fatal */
    size_t warnings_count;
    void *memory; /* private */
};

/* Reads, expands ${VAR} and *_file, checks. CONFIG/78 with "file:line: ..." in the text. */
int config_load(const char *path, const struct conf_plugins *plugins, struct config **ret,
                struct error *err) MUST_CHECK;

/* The same from text: for `run --source --sink`, tests and fuzzing. `name` stands for the file in
 * messages. */
int config_parse(const char *name, struct slice yaml, const struct conf_plugins *plugins,
                 struct config **ret, struct error *err) MUST_CHECK;

/* The same for `check`: `faults` gets a line for each mistake, and `err` is the first one. */
int config_load_all(const char *path, const struct conf_plugins *plugins, struct buf *faults,
                    struct config **ret, struct error *err) MUST_CHECK;
int config_parse_all(const char *name, struct slice yaml, const struct conf_plugins *plugins,
                     struct buf *faults, struct config **ret, struct error *err) MUST_CHECK;

void config_free(struct config *c);

/* Fills a plugin's struct with its table's defaults only. Owned by *ret_memory, freed by
 * config_defaults_free. */
int config_defaults(const struct conf_key *keys, void *conf, void **ret_memory,
                    struct error *err) MUST_CHECK;
void config_defaults_free(void *memory);

/* The Markdown reference of all keys: `commitrelay reference config`. */
void config_reference(struct buf *out, const struct conf_plugins *plugins);
