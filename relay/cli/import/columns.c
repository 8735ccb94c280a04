/* Columns of keys, and columns that are left out or masked. A mask that cannot be taken over would
 * show values, so its note says that. */
#include "cli/import/internal.h"

/* `rest` is what follows the word: ", length: 8". */
static void add_rule(struct import *im, const char *column, const char *with, const char *rest,
                     const struct import_option *o)
{
    CLEANUP(buf_release) struct buf field = {0};
    bool hash = strncmp(with, "hash", 4) == 0;
    buf_add_str(&field, "{field: ");
    import_text(im, &field, hash ? "column.mask.hash" : o->name, column); /* without the salt */
    buf_add_char(&field, ',');
    if (strstr(buf_str(&im->mask), buf_str(&field))) {
        import_say(im, DEBEZIUM_MESSAGES, column,
                   "has a rule of `mask` already, and a column has one; `%s` is not taken over",
                   with);
        return;
    }
    buf_printf(&im->mask, "      - %s with: %s%s", buf_str(&field), with, rest);
    if (hash) {
        buf_add_str(&im->mask, ", key: ");
        import_variable(im, &im->mask, "MASK_SALT",
                        "the salt in the name of column.mask.hash, which is not copied");
    }
    buf_add_str(&im->mask, "}\n");
}

/* Whether all are schema.table.column, as a rule of a mask names them. */
static bool are_columns(const struct import_names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        const char *dot = strchr(names->items[i], '.');
        if (!dot || !strchr(dot + 1, '.')) {
            return false;
        }
    }
    return true;
}

static void mask_columns(struct import *im, struct import_option *o, const char *with,
                         const char *rest)
{
    struct import_names plain = {0}, patterns = {0};
    import_split(im->memory, o->value, &plain, &patterns);
    if (im->outbox) {
        import_note(im, DEBEZIUM_MESSAGES, o, "%s",
                    "an outbox has members of its payload masked: mask: [{field: payload.a.b, "
                    "with: redact}]; VALUES ARE SHOWN without it");
        return;
    }
    if (patterns.count || !are_columns(&plain)) {
        import_note(im, DEBEZIUM_MESSAGES, o,
                    "the pattern %s is not supported yet: write a rule of `mask` for each column; "
                    "VALUES ARE SHOWN without it",
                    patterns.count ? patterns.items[0] : o->value);
        return;
    }
    for (size_t i = 0; i < plain.count; i++) {
        add_rule(im, plain.items[i], with, rest, o);
    }
    o->taken = true;
}

/* column.mask.with.8.chars, column.truncate.to.20.chars, column.mask.hash[.v2].SHA-256.with.salt.S
 */
static void mask_columns_of(struct import *im, struct import_option *o)
{
    static const char hash[] = "column.mask.hash.", v2[] = "v2.";
    CLEANUP(buf_release) struct buf rest = {0};
    const char *digits = o->name + strcspn(o->name, "0123456789");
    if (strncmp(o->name, hash, sizeof hash - 1) != 0) {
        buf_printf(&rest, ", length: %.*s", (int)strspn(digits, "0123456789"), digits);
        mask_columns(im, o, strstr(o->name, ".truncate.") ? "truncate" : "stars", buf_str(&rest));
        return;
    }
    const char *name = o->name + sizeof hash - 1;
    bool second = strncmp(name, v2, sizeof v2 - 1) == 0;
    name += second ? sizeof v2 - 1 : 0;
    size_t n = strcspn(name, ".");
    if (n != 7 || strncmp(name, "SHA-256", n) != 0) {
        buf_printf(&rest, ", algorithm: %.*s", (int)n, name);
    }
    mask_columns(im, o, second ? "hash_v2" : "hash", buf_str(&rest));
}

static void take_columns(struct import *im)
{
    for (size_t i = 0; i < im->options->count; i++) {
        struct import_option *o = &im->options->items[i];
        const struct debezium_option *row =
            debezium_option_find(DEBEZIUM_CONNECTOR, slice_from(o->name));
        if (o->taken || !row || strcmp(row->ours, "mask") != 0) {
            continue;
        }
        mask_columns_of(im, o);
    }
}

/* A list of columns of rows: its items are the patterns here, too. */
static void put_list(struct import *im, const char *name, const char *old, const char *key)
{
    struct import_option *o = import_find(im, name);
    CLEANUP(buf_release) struct buf yaml = {0}, item = {0};
    o = o ? o : import_find(im, old);
    if (!o) {
        return;
    }
    if (im->outbox) {
        import_note(im, DEBEZIUM_MESSAGES, o, "%s",
                    "an outbox has members of its payload masked: mask: [{field: payload.a.b, "
                    "with: redact}]; VALUES ARE SHOWN without it");
        return;
    }
    for (const char *at = o->value; import_item(&at, &item);) {
        buf_add_str(&yaml, yaml.len ? ", " : "[");
        import_text(im, &yaml, o->name, buf_str(&item));
    }
    if (yaml.len) {
        buf_add_char(&yaml, ']');
        import_put(im, IMPORT_ENCODE, key, buf_str(&yaml), o->name);
    }
    o->taken = true;
}

/* Adds `schema.table: [a, b]` for an item of message.key.columns. False: it is a pattern. */
static bool add_key(struct import *im, struct buf *yaml, const char *item, const char *option)
{
    const char *colon = strchr(item, ':');
    struct import_names table = {0}, columns = {0}, patterns = {0};
    if (!colon) {
        return false;
    }
    CLEANUP(buf_release) struct buf name = {0};
    buf_add(&name, item, (size_t)(colon - item));
    import_split(im->memory, buf_str(&name), &table, &patterns);
    import_split(im->memory, colon + 1, &columns, &patterns);
    if (patterns.count || table.count != 1 || !strchr(table.items[0], '.') || !columns.count) {
        return false;
    }
    buf_add_str(yaml, yaml->len ? ", " : "");
    import_text(im, yaml, option, table.items[0]);
    for (size_t i = 0; i < columns.count; i++) {
        buf_add_str(yaml, i ? ", " : ": [");
        import_text(im, yaml, option, columns.items[i]);
    }
    buf_add_char(yaml, ']');
    return true;
}

void import_keys(struct import *im)
{
    struct import_option *o = import_find(im, "message.key.columns");
    CLEANUP(buf_release) struct buf keys = {0}, yaml = {0};
    if (!o || im->outbox) {
        return; /* the router makes the key of an outbox event */
    }
    for (const char *at = o->value; *at;) {
        size_t skip = strspn(at, "; \t\r\n"), n = strcspn(at + skip, ";");
        CLEANUP(buf_release) struct buf item = {0};
        buf_add(&item, at + skip, n);
        at += skip + n;
        if (n && !add_key(im, &keys, buf_str(&item), o->name)) {
            import_note(im, DEBEZIUM_MESSAGES, o,
                        "%s is a pattern: name each table in encode.key_columns", buf_str(&item));
        }
    }
    if (!keys.len) {
        return;
    }
    buf_printf(&yaml, "{%s}", buf_str(&keys));
    import_put(im, IMPORT_ENCODE, "key_columns", buf_str(&yaml), o->name);
    import_todo(im, "a delete has to tell the columns of encode.key_columns: ALTER TABLE ... "
                    "REPLICA IDENTITY FULL for these tables, or leave deletes out "
                    "(encode.skipped_operations: [d, t]); the relay refuses to start otherwise");
    o->taken = true;
}

void import_columns(struct import *im)
{
    put_list(im, "column.include.list", "column.whitelist", "include_columns");
    put_list(im, "column.exclude.list", "column.blacklist", "exclude_columns");
    take_columns(im);
}
