/*
 * Plugins that exist only for tests and fuzzing: one source and two sinks that use every kind of
 * key.
 */
#pragma once

#include "config/config.h"

struct fake_source {
    char *url, *table;
    struct {
        char *id, *seq;
    } columns;
    int mode;
    bool mode_given;
    int64_t batch_size, poll_interval_us;
};

struct fake_place {
    char *name, *password;
    int64_t wait_us;
};

struct fake_sink {
    char *dir, *password, *ca_file;
    struct conf_map properties;
    struct conf_list columns, tables, words;
    struct conf_groups places; /* of struct fake_place */
    int64_t bytes, interval_us, linger_us;
    double ratio;
    bool manifest;
};

#define FAKE_SOURCE(field) offsetof(struct fake_source, field)
#define FAKE_SINK(field) offsetof(struct fake_sink, field)

static const char *const fake_modes[] = {"position", "status", "delete", NULL};
static const char *const fake_modes_later[] = {"stream", NULL};

static const struct conf_key fake_columns[] = {
    {"id", CONF_STRING, FAKE_SOURCE(columns.id), "id", .help = "x"},
    {"seq", CONF_STRING, FAKE_SOURCE(columns.seq), "seq", .help = "x"},
    CONF_END};

static const struct conf_key fake_source_keys[] = {
    {"url", CONF_SECRET, FAKE_SOURCE(url), .required = true, .help = "Where | it is"},
    {"table", CONF_STRING, FAKE_SOURCE(table), "outbox", .help = "x"},
    {"columns", CONF_GROUP, .group = fake_columns},
    {"mode", CONF_ENUM, FAKE_SOURCE(mode), "position", .choices = fake_modes,
     .later = fake_modes_later, .given_offset = FAKE_SOURCE(mode_given)},
    {"batch_size", CONF_INT, FAKE_SOURCE(batch_size), "1000", 1, 100000, .help = "x"},
    {"poll_interval", CONF_DURATION, FAKE_SOURCE(poll_interval_us), "1s", 1000, INT64_C(3600000000),
     .help = "x"},
    CONF_END};

static const struct conf_key fake_rotate[] = {
    {"bytes", CONF_SIZE, FAKE_SINK(bytes), "64MiB", 1024, INT64_C(1) << 40, .help = "x"},
    {"interval", CONF_DURATION, FAKE_SINK(interval_us), "10s", .help = "x"},
    CONF_END};

static const struct conf_key fake_place[] = {
    {"name", CONF_STRING, offsetof(struct fake_place, name), .required = true, .help = "x"},
    {"password", CONF_SECRET, offsetof(struct fake_place, password), .help = "x"},
    {"wait", CONF_DURATION, offsetof(struct fake_place, wait_us), "1s", .help = "x"},
    CONF_END};

static const struct conf_key fake_sink_keys[] = {
    {"dir", CONF_STRING, FAKE_SINK(dir), "\"\"", .help = "x"},
    {"password", CONF_SECRET, FAKE_SINK(password), .help = "x"},
    {"ca_file", CONF_STRING, FAKE_SINK(ca_file), .help = "x"},
    {"properties", CONF_MAP, FAKE_SINK(properties), .help = "x"},
    {"columns", CONF_LIST, FAKE_SINK(columns), "[id, \"a, b\"]", .required = true, .help = "x"},
    {"tables", CONF_LIST, FAKE_SINK(tables), .help = "x"},
    {"words", CONF_LIST, FAKE_SINK(words), .repeats = true, .help = "x"},
    {"places", CONF_GROUPS, FAKE_SINK(places), .group = fake_place,
     .group_size = sizeof(struct fake_place), .max = 2, .help = "Where else"},
    {"rotate", CONF_GROUP, .group = fake_rotate},
    {"linger_ms", CONF_DURATION, FAKE_SINK(linger_us), "5ms", .help = "x"},
    {"ratio", CONF_RATIO, FAKE_SINK(ratio), "0.25", 1, 1000, .help = "x"},
    {"manifest", CONF_BOOL, FAKE_SINK(manifest), "true", .help = "x"},
    CONF_END};

static const struct conf_plugin fake_sources[] = {
    {"outbox_fake", "Reads nothing", fake_source_keys, sizeof(struct fake_source)}, {.name = NULL}};
static const struct conf_plugin fake_sinks[] = {
    {"fake", "Takes everything", fake_sink_keys, sizeof(struct fake_sink)},
    {"bare", "Has no keys", NULL, 0},
    {.name = NULL}};
static const struct conf_later fake_later[] = {{"source.type", "cdc_postgres"},
                                               {"sink", "compression"},
                                               {"sink.rotate", "codec"},
                                               {NULL, NULL}};

static bool fake_is_store_url(const char *url)
{
    return strchr(url, '=') || (strncmp(url, "sqlite:", 7) == 0 && url[7]) ||
           strncmp(url, "postgresql://", 13) == 0;
}

static const struct conf_plugins fake_plugins = {fake_sources, fake_sinks, fake_later,
                                                 fake_is_store_url, NULL};
