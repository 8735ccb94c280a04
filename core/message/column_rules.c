/* Works out once for each version of a table what its events show of it. */
#include "message/column_rules.h"

#include "base/buf.h"
#include "base/memory.h"
#include "value/pattern.h"
#include <stdlib.h>
#include <string.h>

struct column_rules {
    struct column_key *keys;
    size_t keys_count;
    bool include; /* the patterns are of columns that are in; else of those that are out */
    struct pattern **patterns;
    size_t patterns_count;
};

static int refuse(struct error *err, const char *table, const char *why)
{
    return error_set(err, ERROR_CONFIG, "config", "encode.key_columns: `%s` %s", table, why);
}

static bool has_twice(const struct column_key *k)
{
    for (size_t i = 1; i < k->columns_count; i++) {
        for (size_t n = 0; n < i; n++) {
            if (strcmp(k->columns[i], k->columns[n]) == 0) {
                return true;
            }
        }
    }
    return false;
}

static int check_keys(const struct column_rules_conf *conf, struct error *err)
{
    for (size_t i = 0; i < conf->keys_count; i++) {
        const struct column_key *k = &conf->keys[i];
        const char *dot = strchr(k->table, '.');
        if (!dot || dot == k->table || !dot[1]) {
            return refuse(err, k->table, "names no table; write schema.table");
        }
        if (k->columns_count == 0) {
            return refuse(err, k->table, "has no column; name those of the key, or remove it");
        }
        if (k->columns_count > COLUMN_KEY_COLUMNS_MAX) {
            return refuse(err, k->table, "has more columns than a key can have (32)");
        }
        if (has_twice(k)) {
            return refuse(err, k->table, "has a column twice; remove one of them");
        }
    }
    return RESULT_DONE;
}

static int compile(struct column_rules *r, const char *const *patterns, size_t n, const char *key,
                   struct error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (pattern_new(patterns[i], true, &r->patterns[r->patterns_count], err)) {
            return error_prefix(err, "encode.%s", key);
        }
        r->patterns_count++;
    }
    return RESULT_DONE;
}

int column_rules_new(const struct column_rules_conf *conf, struct column_rules **ret,
                     struct error *err)
{
    size_t n = conf->include_count + conf->exclude_count;
    *ret = NULL;
    if (conf->include_count > 0 && conf->exclude_count > 0) {
        return error_set(
            err, ERROR_CONFIG, "config",
            "encode.include_columns and encode.exclude_columns are both given; keep one of them");
    }
    if (n + conf->keys_count == 0) {
        return RESULT_DONE;
    }
    if (check_keys(conf, err)) {
        return RESULT_ERROR;
    }
    struct column_rules *r = memory_need(calloc(1, sizeof *r + n * sizeof(struct pattern *) +
                                                       conf->keys_count * sizeof *conf->keys));
    r->include = conf->include_count > 0;
    r->patterns = (struct pattern **)(void *)(r + 1);
    r->keys = (struct column_key *)(void *)(r->patterns + n);
    for (; r->keys_count < conf->keys_count; r->keys_count++) {
        r->keys[r->keys_count] = conf->keys[r->keys_count];
    }
    if (compile(r, conf->include, conf->include_count, "include_columns", err) ||
        compile(r, conf->exclude, conf->exclude_count, "exclude_columns", err)) {
        column_rules_free(r);
        return RESULT_ERROR;
    }
    *ret = r;
    return RESULT_DONE;
}

void column_rules_free(struct column_rules *r)
{
    for (size_t i = 0; r && i < r->patterns_count; i++) {
        pattern_free(r->patterns[i]);
    }
    free(r);
}

/* --- rows --- */

static int is_hidden(struct column_rules *r, struct slice full, bool *ret, struct error *err)
{
    bool matched = false;
    for (size_t i = 0; i < r->patterns_count && !matched; i++) {
        if (pattern_matches(r->patterns[i], full, &matched, err)) {
            return RESULT_ERROR;
        }
    }
    *ret = r->patterns_count > 0 && matched != r->include;
    return RESULT_DONE;
}

/* Marks the hidden columns, and says whether there is one. */
static int hide(struct column_rules *r, const struct change_table *t, struct change_column *columns,
                bool *ret_any, struct error *err)
{
    CLEANUP(buf_release) struct buf full = {0};
    for (size_t i = 0; i < t->columns_count; i++) {
        buf_clear(&full);
        buf_printf(&full, "%.*s.%.*s.%.*s", SLICE_FMT(t->schema), SLICE_FMT(t->name),
                   SLICE_FMT(columns[i].name));
        if (is_hidden(r, buf_slice(&full), &columns[i].hidden, err)) {
            return RESULT_ERROR;
        }
        *ret_any = *ret_any || columns[i].hidden;
    }
    return RESULT_DONE;
}

/* --- keys --- */

static const struct column_key *key_of(const struct column_rules *r, const struct change_table *t)
{
    for (size_t i = 0; i < r->keys_count; i++) {
        const char *table = r->keys[i].table, *dot = strchr(table, '.');
        if (slice_equal((struct slice){table, (size_t)(dot - table)}, t->schema) &&
            slice_equal_str(t->name, dot + 1)) {
            return &r->keys[i];
        }
    }
    return NULL;
}

/* The index of a column; columns_count: there is no such column. */
static size_t find_column(const struct change_table *t, const char *name)
{
    size_t i = 0;
    while (i < t->columns_count && !slice_equal_str(t->columns[i].name, name)) {
        i++;
    }
    return i;
}

static int key_fault(const struct change_table *t, struct slice column, bool there,
                     struct error *err)
{
    return there
               ? error_set(err, ERROR_CONFIG, "encode", KEY_NOT_SENT_TEXT ": " KEY_NOT_SENT_REMEDY,
                           SLICE_FMT(column), SLICE_FMT(t->schema), SLICE_FMT(t->name))
               : error_set(err, ERROR_CONFIG, "encode",
                           KEY_NO_COLUMN_TEXT ": " KEY_NO_COLUMN_REMEDY, SLICE_FMT(column),
                           SLICE_FMT(t->schema), SLICE_FMT(t->name));
}

/* The columns are in the list's sequence, as in Debezium. */
static int choose(const struct column_key *k, const struct change_table *t, bool deletes,
                  uint16_t *key, size_t *ret_count, struct error *err)
{
    /* A table without an identity cannot have deletes: the server refuses them. */
    bool must_be_sent = deletes && t->identity != IDENTITY_FULL && t->identity != IDENTITY_NOTHING;
    for (size_t i = 0; i < k->columns_count; i++) {
        size_t at = find_column(t, k->columns[i]);
        bool there = at < t->columns_count;
        if (!there || (must_be_sent && !t->columns[at].identity)) {
            return key_fault(t, slice_from(k->columns[i]), there, err);
        }
        key[i] = (uint16_t)at;
    }
    *ret_count = k->columns_count;
    return RESULT_DONE;
}

bool column_rules_key_at(const struct column_rules *r, size_t i, const char **ret_table,
                         const char **ret_column)
{
    for (size_t k = 0; r && k < r->keys_count; k++) {
        const struct column_key *key = &r->keys[k];
        if (i < key->columns_count) {
            *ret_table = key->table;
            *ret_column = key->columns[i];
            return true;
        }
        i -= key->columns_count;
    }
    return false;
}

struct pattern *column_rules_pattern_at(const struct column_rules *r, size_t i,
                                        const char **ret_key)
{
    if (!r || i >= r->patterns_count) {
        return NULL;
    }
    *ret_key = r->include ? "encode.include_columns" : "encode.exclude_columns";
    return r->patterns[i];
}

/* --- the table --- */

/* The copy: the table, its columns, and room for the key. */
struct block {
    struct change_table table;
    struct change_column columns[];
};

int column_rules_apply(struct column_rules *r, const struct change_table *table, bool deletes,
                       const struct change_table **ret, void **ret_block, struct error *err)
{
    const struct column_key *k = r ? key_of(r, table) : NULL;
    size_t n = table->columns_count;
    bool hidden = false;
    *ret = table;
    *ret_block = NULL;
    if (!r || (!k && r->patterns_count == 0)) {
        return RESULT_DONE;
    }
    struct block *b =
        memory_need(calloc(1, sizeof *b + n * sizeof(struct change_column) + n * sizeof(uint16_t)));
    uint16_t *key = (uint16_t *)(void *)(b->columns + n);
    b->table = *table;
    b->table.columns = b->columns;
    if (n > 0) {
        memcpy(b->columns, table->columns, n * sizeof *b->columns);
    }
    if (hide(r, table, b->columns, &hidden, err) ||
        (k && choose(k, table, deletes, key, &b->table.key_count, err))) {
        free(b);
        return RESULT_ERROR;
    }
    if (!k && !hidden) {
        free(b);
        return RESULT_DONE;
    }
    b->table.key = k ? key : table->key;
    *ret = &b->table;
    *ret_block = b;
    return RESULT_DONE;
}
