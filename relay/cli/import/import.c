/* Puts an import together: the parts take the options they know, the table answers for the others,
 * and what came of it is written as a configuration and as a report. */
#include "base/shown.h"
#include "cli/import/internal.h"
#include "daemon/registry.h"
#include <ctype.h>

enum { PIPELINE_MAX = 40 };

void import_result_release(struct import_result *r)
{
    buf_release(&r->yaml);
    buf_release(&r->report);
}

static void release(struct import *im)
{
    struct buf *all[] = {&im->headers,  &im->mask, &im->envelope, &im->messages, &im->operation,
                         &im->comments, &im->todo, &im->nothing,  &im->variables};
    for (size_t i = 0; i < IMPORT_MAPS; i++) {
        buf_release(&im->maps[i]);
    }
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        buf_release(all[i]);
    }
}

/* --- what it is --- */

static int judge(struct import *im, const char *file, struct error *err)
{
    const char *class = import_take(im, "connector.class");
    if (!class) {
        return error_set(
            err, ERROR_CONFIG, "import",
            "%s: connector.class is missing: give the file of a Debezium connector or of "
            "Debezium Server; a worker's file goes behind it",
            file);
    }
    if (!strstr(class, "Postgres")) {
        return error_set(err, ERROR_CONFIG, "import",
                         "%s: %s reads another database; the relay reads PostgreSQL", file, class);
    }
    for (size_t i = 0; i < im->options->count; i++) {
        const char *name = im->options->items[i].shown;
        im->server |= strncmp(name, "debezium.", strlen("debezium.")) == 0;
    }
    im->outbox = import_has_transform(im, "outbox.EventRouter");
    return RESULT_DONE;
}

/* A pipeline's name has small letters, digits, _ and -. */
static const char *name_of(struct import *im)
{
    const char *name = import_take(im, "name");
    CLEANUP(buf_release) struct buf out = {0};
    name = name && *name ? name : im->prefix;
    for (; *name && out.len < PIPELINE_MAX; name++) {
        unsigned char c = (unsigned char)*name;
        buf_add_char(&out, isalnum(c) ? (char)tolower(c) : c == '_' ? '_' : '-');
    }
    return out.len ? import_copy(im, &out) : "debezium";
}

static void take_prefix(struct import *im)
{
    const char *prefix = import_take(im, "topic.prefix");
    const char *old = import_take(im, "database.server.name");
    im->prefix = prefix ? prefix : old ? old : "";
    im->pipeline = name_of(im);
}

static void put_name(struct import *im)
{
    const char *delimiter = import_take(im, "topic.delimiter");
    if (im->outbox) {
        return;
    }
    if (*im->prefix) {
        import_put_text(im, IMPORT_ENCODE, "name", "topic.prefix", im->prefix);
    }
    if (delimiter && !import_is(delimiter, ".") && strlen(delimiter) == 1 &&
        strchr("_-", *delimiter)) {
        CLEANUP(buf_release) struct buf topic = {0};
        buf_printf(&topic, "\"{name}%c{schema}%c{table}\"", *delimiter, *delimiter);
        import_put(im, IMPORT_ROUTE, "topic", buf_str(&topic), "topic.delimiter");
    }
}

static void take_operations(struct import *im)
{
    struct import_option *o = import_find(im, "skipped.operations");
    const char *list = import_take(im, "skipped.operations");
    if (!list || strspn(list, "cudtrnoe, ") != strlen(list) || import_is(list, "t")) {
        return;
    }
    CLEANUP(buf_release) struct buf yaml = {0};
    buf_printf(&yaml, "[%s]", list);
    if (im->outbox) {
        import_note(im, DEBEZIUM_NOTHING, o, "%s", "");
    } else {
        import_put(im, IMPORT_ENCODE, "skipped_operations", buf_str(&yaml), "skipped.operations");
    }
}

static void take_failures(struct import *im)
{
    const char *mode = import_take(im, "event.processing.failure.handling.mode");
    const char *tolerance = import_take(im, "errors.tolerance");
    if (import_is(mode, "skip") || import_is(mode, "warn") || import_is(tolerance, "all")) {
        import_put(im, IMPORT_DELIVERY, "poison", "skip",
                   mode ? "event.processing.failure.handling.mode" : "errors.tolerance");
    }
}

/* --- what nobody has taken --- */

static enum import_map map_of(const char *ours)
{
    return strncmp(ours, "encode.", 7) == 0     ? IMPORT_ENCODE
           : strncmp(ours, "source.", 7) == 0   ? IMPORT_SOURCE
           : strncmp(ours, "delivery.", 9) == 0 ? IMPORT_DELIVERY
                                                : IMPORT_MAPS;
}

/* The option's value is that of a key of ours, a word or a text. An outbox has none of them, but
 * its envelope would show what they say, and of the formats only debezium has more than the
 * placeholder. */
static void copy_value(struct import *im, struct import_option *o,
                       const struct debezium_option *row)
{
    enum import_map map = map_of(row->ours);
    const char *key = strchr(row->ours, '.') + 1;
    bool is_text = strcmp(key, "unavailable_placeholder") == 0;
    o->taken = true;
    if (im->unwrapped && strcmp(key, "tombstones") == 0) { /* encode.unwrap.deletes decides */
        import_note(im, DEBEZIUM_NOTHING, o, "%s", "");
        return;
    }
    if (map == IMPORT_ENCODE && (im->outbox || (!im->debezium && !is_text))) {
        bool shown = im->envelope.len && !is_text && strcmp(key, "tombstones") != 0 &&
                     !(row->fallback && import_is(o->value, row->fallback));
        import_note(im, shown ? DEBEZIUM_MESSAGES : DEBEZIUM_NOTHING, o, "%s",
                    shown ? "columns beside the payload are written as without this option" : "");
        return;
    }
    CLEANUP(buf_release) struct buf word = {0};
    for (const char *p = o->value; *p; p++) {
        buf_add_char(&word, (char)tolower((unsigned char)*p));
    }
    if (!is_text && strspn(buf_str(&word), "abcdefghijklmnopqrstuvwxyz_-0123456789") == word.len) {
        import_put(im, map, key, buf_str(&word), o->name);
    } else {
        import_put_text(im, map, key, o->name, o->value);
    }
}

static const struct debezium_option *find_row(const struct import_option *o)
{
    static const enum debezium_where order[] = {DEBEZIUM_CONNECTOR, DEBEZIUM_CONNECT,
                                                DEBEZIUM_SERVER};
    const struct debezium_option *row = NULL;
    for (size_t i = 0; !row && i < sizeof order / sizeof *order; i++) {
        row = debezium_option_find(order[i], slice_from(o->name));
    }
    return row;
}

/* Options of the converters and post processors that the file lists are answered with the list. */
static bool is_of_list(struct import *im, const char *list, const char *name)
{
    const struct import_option *o = import_find(im, list);
    const char *dot = strchr(name, '.');
    for (const char *at = o && dot ? o->value : ""; *at;) {
        size_t skip = strspn(at, " ,"), n = strcspn(at + skip, " ,");
        if (n == (size_t)(dot - name) && n && strncmp(at + skip, name, n) == 0) {
            return true;
        }
        at += skip + n;
    }
    return false;
}

/* Whether a pattern of the connector leads to what it hands on to others, such as Java's driver. */
static bool is_of_others(const char *pattern)
{
    return strcmp(pattern, "database.*") == 0 || strcmp(pattern, "driver.*") == 0;
}

static void answer(struct import *im, struct import_option *o)
{
    const struct debezium_option *row = find_row(o);
    o->hidden = row && strchr(row->name, '*') &&
                (row->where != DEBEZIUM_CONNECTOR || is_of_others(row->name));
    if (is_of_list(im, "converters", o->name) || is_of_list(im, "post.processors", o->name)) {
        o->taken = true;
    } else if (!row) {
        import_unknown(im, o);
    } else if (row->effect == DEBEZIUM_KEY) {
        copy_value(im, o, row);
    } else if (row->effect == DEBEZIUM_CODE || row->effect == DEBEZIUM_NOTHING ||
               (row->fallback && import_is(o->value, row->fallback))) {
        import_note(im, DEBEZIUM_NOTHING, o, "%s", "");
    } else {
        import_note(im, row->effect, o, "%s", row->text);
    }
}

/* --- what is written --- */

static void add_map(const struct import *im, struct buf *out, enum import_map map, const char *name)
{
    if (im->maps[map].len) {
        buf_printf(out, "    %s:\n", name);
        buf_add_slice(out, buf_slice(&im->maps[map]));
    }
}

static void write_yaml(const struct import *im, const char *file, struct buf *out)
{
    CLEANUP(buf_release) struct buf shown = {0};
    shown_add(&shown, slice_from(file), SHOWN_IN_LINE);
    buf_printf(
        out,
        "# Made by `commitrelay import-debezium` from %s. Behind each key stands the option it is "
        "from,\n# and at the end what is left out. docs/FROM-DEBEZIUM.md has the way over, and "
        "back.\npipelines:\n  - name: %s\n",
        buf_str(&shown), im->pipeline);
    add_map(im, out, IMPORT_SOURCE, "source");
    add_map(im, out, IMPORT_ROUTE, "route");
    add_map(im, out, IMPORT_ENCODE, "encode");
    if (im->mask.len) {
        buf_add_str(out, "    mask:\n");
        buf_add_slice(out, buf_slice(&im->mask));
    }
    add_map(im, out, IMPORT_SINK, "sink");
    add_map(im, out, IMPORT_DELIVERY, "delivery");
    if (im->comments.len) {
        buf_printf(out, "# Left out:\n%s", buf_str(&im->comments));
    }
}

static void add_list(struct buf *out, const char *heading, const struct buf *list)
{
    if (list->len) {
        buf_printf(out, "%s\n%s", heading, buf_str(list));
    }
}

static void write_report(const struct import *im, struct buf *out)
{
    add_list(out, "changes messages:", &im->messages);
    add_list(out, "only operation:", &im->operation);
    if (im->nothing.len) {
        buf_printf(out, "not needed:\n  %s\n", buf_str(&im->nothing));
    }
    add_list(out, "to do:", &im->todo);
}

static void put_source_type(struct import *im)
{
    const char *value;
    const struct source_ops *ops = registry_source_of_url("postgresql://h/d", true, &value);
    import_put(im, IMPORT_SOURCE, "type", ops ? ops->name : "(left out of this program)", NULL);
}

static void translate(struct import *im)
{
    take_prefix(im);
    put_source_type(im);
    import_source(im);
    import_format(im);
    put_name(im);
    import_apart(im);
    import_transforms(im);
    import_keys(im);
    import_columns(im);
    take_operations(im);
    take_failures(im);
    import_sink(im);
    for (size_t i = 0; i < im->options->count; i++) {
        if (!im->options->items[i].taken) {
            answer(im, &im->options->items[i]);
        }
    }
    CLEANUP(buf_release) struct buf headers = {0};
    buf_printf(&headers, "[%s]", im->headers.len ? buf_str(&im->headers) : "id");
    import_put(im, IMPORT_ENCODE, "headers", buf_str(&headers),
               im->outbox ? "the router's headers" : "Debezium has none; id is the event's own");
}

int import_debezium(struct import_options *options, const char *file, struct import_result *ret,
                    struct error *err)
{
    CLEANUP(release)
    struct import im = {.memory = options->memory, .options = options, .result = ret};
    if (judge(&im, file, err)) {
        return RESULT_ERROR;
    }
    translate(&im);
    write_yaml(&im, file, &ret->yaml);
    write_report(&im, &ret->report);
    return RESULT_DONE;
}
