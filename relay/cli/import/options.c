/* Keeps the options of a Debezium configuration under the names that the connector itself has, so
 * that Debezium Server and Kafka Connect look the same from here on. */
#include "cli/import/options.h"

static bool begins(struct slice text, const char *prefix)
{
    size_t n = strlen(prefix);
    return text.len >= n && memcmp(text.ptr, prefix, n) == 0;
}

static struct slice behind(struct slice text, const char *prefix)
{
    size_t n = strlen(prefix);
    return (struct slice){text.ptr + n, text.len - n};
}

static struct slice trimmed(struct slice text)
{
    static const char blanks[] = " \t\r\n\f";
    while (text.len > 0 && strchr(blanks, text.ptr[0])) {
        text.ptr++;
        text.len--;
    }
    while (text.len > 0 && strchr(blanks, text.ptr[text.len - 1])) {
        text.len--;
    }
    return text;
}

static struct slice connector_name(struct slice shown)
{
    if (begins(shown, "debezium.source.")) {
        return behind(shown, "debezium.source.");
    }
    if (begins(shown, "debezium.transforms") || begins(shown, "debezium.predicates")) {
        return behind(shown, "debezium.");
    }
    return shown;
}

static struct import_option *find(struct import_options *options, struct slice name)
{
    for (size_t i = 0; i < options->count; i++) {
        if (slice_equal_str(name, options->items[i].name)) {
            return &options->items[i];
        }
    }
    return NULL;
}

static struct import_option *add(struct import_options *options)
{
    if (options->count == options->room) {
        size_t room = options->room ? options->room * 2 : 64;
        struct import_option *more = arena_array(options->memory, room, sizeof *more);
        if (options->count) {
            memcpy(more, options->items, options->count * sizeof *more);
        }
        options->items = more;
        options->room = room;
    }
    return &options->items[options->count++];
}

void import_next_file(struct import_options *options)
{
    options->file = options->count;
}

void import_set(struct import_options *options, struct slice name, struct slice value)
{
    struct slice own = connector_name(name);
    struct import_option *o = find(options, own);
    if (o && (size_t)(o - options->items) < options->file) {
        return;
    }
    if (!o) {
        o = add(options);
        o->name = arena_copy(options->memory, own).ptr;
        o->shown = arena_copy(options->memory, name).ptr;
    }
    struct slice text = trimmed(value);
    o->value = text.len ? arena_copy(options->memory, text).ptr : "";
}
