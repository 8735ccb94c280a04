/* The outbox router. Its topic is a template of ours, its columns are mapped, and what it places in
 * headers becomes headers. */
#include "cli/import/internal.h"
#include <ctype.h>

/* The columns that the router reads, by their names here. */
struct roles {
    const char *id, *aggregatetype, *aggregateid, *type, *payload, *created_at;
};

static const char *or_default(const char *value, const char *fallback)
{
    return value && *value ? value : fallback;
}

static void add_column(struct import *im, struct buf *out, const char *role, const char *column)
{
    if (column && strcmp(role, column) != 0) {
        buf_printf(out, "%s%s: ", out->len ? ", " : "", role);
        import_text(im, out, role, column);
    }
}

static void put_columns(struct import *im, const struct roles *r)
{
    CLEANUP(buf_release) struct buf list = {0}, yaml = {0};
    add_column(im, &list, "id", r->id);
    add_column(im, &list, "aggregatetype", r->aggregatetype);
    add_column(im, &list, "aggregateid", r->aggregateid);
    add_column(im, &list, "type", r->type);
    add_column(im, &list, "payload", r->payload);
    if (r->created_at) { /* also under its own name: it has to be there then */
        buf_printf(&list, "%screated_at: ", list.len ? ", " : "");
        import_text(im, &list, "created_at", r->created_at);
        import_put(im, IMPORT_ROUTE, "timestamp", "created_at", "table.field.event.timestamp");
    }
    if (list.len) {
        buf_printf(&yaml, "{%s}", buf_str(&list));
        import_put(im, IMPORT_SOURCE, "columns", buf_str(&yaml),
                   "table.field.event.*, route.by.field");
    }
}

/* Whether the expression takes the whole value. *ret: the name of its group, or an empty one. */
static bool takes_all(const char *regex, struct slice *ret)
{
    *ret = (struct slice){"", 0};
    if (strcmp(regex, ".*") == 0 || strcmp(regex, "(.*)") == 0 || strcmp(regex, "(.+)") == 0) {
        return true;
    }
    const char *close = strncmp(regex, "(?<", 3) == 0 ? strchr(regex, '>') : NULL;
    if (!close || (strcmp(close, ">.*)") != 0 && strcmp(close, ">.+)") != 0)) {
        return false;
    }
    *ret = (struct slice){regex + 3, (size_t)(close - regex) - 3};
    return true;
}

/* The group that stands at *at, which moves on: ${name}, $1, $0, also with the backslash or the
 * second $ that keep Debezium Server from replacing it. False: none does. */
static bool read_value(const char **at, struct slice group)
{
    const char *p = *at;
    p += *p == '\\';
    p += p[0] == '$' && p[1] == '$';
    if (*p++ != '$') {
        return false;
    }
    p += *p == '\\';
    bool braces = *p == '{';
    p += braces;
    size_t n = braces ? strcspn(p, "}") : 1;
    struct slice name = {p, n};
    if (!(group.len && slice_equal(name, group)) && !slice_equal_str(name, "0") &&
        !slice_equal_str(name, "1")) {
        return false;
    }
    *at = p + n + (braces && p[n] == '}');
    return true;
}

/* The template for a replacement; false: it cannot be said. */
static bool make_topic(struct buf *out, const char *replacement, struct slice group)
{
    while (*replacement) {
        if (read_value(&replacement, group)) {
            buf_add_str(out, "{aggregatetype}");
        } else if (!isalnum((unsigned char)*replacement) && !strchr("._-", *replacement)) {
            return false; /* no topic holds it */
        } else {
            buf_add_char(out, *replacement++);
        }
    }
    return out->len > 0;
}

/* The router's topic is the value; where that matches, it is replaced. */
static void put_rewrite(struct import *im, struct import_option *regex, const char *to)
{
    if (!import_topic_rewrite(im, regex->value, to, NULL, "route.topic.regex")) {
        import_note(im, DEBEZIUM_MESSAGES, regex, "%s",
                    "cannot be told: route.topic_rewrite needs a regular expression and a "
                    "replacement that fits it");
        return;
    }
    import_put(im, IMPORT_ROUTE, "topic", "\"{aggregatetype}\"", "route.topic.regex");
    regex->taken = true;
}

static void put_topic(struct import *im, const char *alias)
{
    static const char plain[] = "outbox.event.${routedByValue}", whole[] = "(?<routedByValue>.*)";
    struct import_option *regex = import_find_of(im, alias, "route.topic.regex");
    struct import_option *replacement = import_find_of(im, alias, "route.topic.replacement");
    CLEANUP(buf_release) struct buf topic = {0}, yaml = {0};
    struct slice group;
    const char *to = or_default(replacement ? replacement->value : NULL, plain);
    bool all = takes_all(or_default(regex ? regex->value : NULL, whole), &group);
    if (regex && !all) { /* the default takes all */
        put_rewrite(im, regex, to);
        (void)import_take_of(im, alias, "route.topic.replacement");
        return;
    }
    if (!make_topic(&topic, to, group)) {
        import_note(im, DEBEZIUM_MESSAGES, replacement ? replacement : regex, "%s",
                    "cannot be told as a template; write route.topic yourself");
        return;
    }
    buf_printf(&yaml, "\"%s\"", buf_str(&topic));
    import_put(im, IMPORT_ROUTE, "topic", buf_str(&yaml), "route.topic.replacement");
    (void)import_take_of(im, alias, "route.topic.regex");
    (void)import_take_of(im, alias, "route.topic.replacement");
}

/* Whether a header of this name and column is one of our own words. */
static bool is_own(const struct roles *r, const char *column, const char *as)
{
    const struct {
        const char *word, *column;
    } own[] = {{"type", r->type},
               {"aggregatetype", r->aggregatetype},
               {"aggregateid", r->aggregateid},
               {"created_at", or_default(r->created_at, "created_at")}};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (strcmp(as, own[i].word) == 0 && strcmp(column, own[i].column) == 0) {
            return true;
        }
    }
    return false;
}

static void add_header(struct import *im, const struct roles *r, const char *column, const char *as,
                       struct import_option *o)
{
    if (strcmp(as, "id") == 0) {
        if (strcmp(column, r->id) != 0) {
            import_note(im, DEBEZIUM_MESSAGES, o, "%s", "the header id is always the event's id");
        }
        return;
    }
    CLEANUP(buf_release) struct buf item = {0};
    buf_add_str(&item, ", ");
    if (is_own(r, column, as)) {
        buf_add_str(&item, as);
    } else {
        buf_add_str(&item, "{column: ");
        import_text(im, &item, o->name, column);
        buf_add_str(&item, ", as: ");
        import_text(im, &item, o->name, as);
        buf_add_char(&item, '}');
    }
    if (!strstr(buf_str(&im->headers), buf_str(&item))) {
        buf_add_slice(&im->headers, buf_slice(&item));
    }
}

/* A column beside the payload: it has one name there. */
static void add_field(struct import *im, const char *column, const char *as,
                      struct import_option *o)
{
    CLEANUP(buf_release) struct buf name = {0}, before = {0};
    import_text(im, &name, o->name, column);
    buf_printf(&before, ", %s", buf_str(&im->envelope));
    buf_add_str(&name, ": ");
    CLEANUP(buf_release) struct buf begin = {0};
    buf_printf(&begin, ", %s", buf_str(&name));
    if (strstr(buf_str(&before), buf_str(&begin))) {
        import_note(im, DEBEZIUM_MESSAGES, o, "%s stands in the envelope once, under one name",
                    column);
        return;
    }
    buf_printf(&im->envelope, "%s%s", im->envelope.len ? ", " : "", buf_str(&name));
    import_text(im, &im->envelope, o->name, as);
}

/* One item: column:header|envelope|partition[:alias]. */
static void place(struct import *im, const struct roles *r, char *item, struct import_option *o)
{
    char *where = strchr(item, ':'), *as = where ? strchr(where + 1, ':') : NULL;
    if (where) {
        *where++ = '\0';
    }
    if (as) {
        *as++ = '\0';
    }
    if (import_is(where, "header")) {
        add_header(im, r, item, as ? as : item, o);
    } else if (import_is(where, "partition")) {
        import_put_text(im, IMPORT_ROUTE, "partition", o->name, item);
    } else if (import_is(where, "envelope")) {
        add_field(im, item, as ? as : item, o);
    } else {
        import_note(im, DEBEZIUM_MESSAGES, o, "%s: there is no such place", item);
    }
}

static void put_placement(struct import *im, const char *alias, const struct roles *r)
{
    struct import_option *o = import_find_of(im, alias, "table.fields.additional.placement");
    const char *list = import_take_of(im, alias, "table.fields.additional.placement");
    while (list && *list) {
        size_t n = strcspn(list, ",");
        struct slice item = {list, n};
        while (item.len && strchr(" \t\n", item.ptr[0])) {
            item.ptr++;
            item.len--;
        }
        while (item.len && strchr(" \t\n", item.ptr[item.len - 1])) {
            item.len--;
        }
        if (item.len) {
            CLEANUP(buf_release) struct buf copy = {0};
            buf_add_slice(&copy, item);
            place(im, r, copy.data, o);
        }
        list += n + (list[n] == ',');
    }
    if (im->envelope.len) {
        CLEANUP(buf_release) struct buf yaml = {0};
        buf_printf(&yaml, "{%s}", buf_str(&im->envelope));
        import_put(im, IMPORT_ENCODE, "envelope", buf_str(&yaml), o->name);
    }
}

static void put_switch(struct import *im, const char *alias, const char *option, const char *key)
{
    const char *value = import_take_of(im, alias, option);
    if (import_is(value, "true")) {
        import_put(im, IMPORT_ENCODE, key, "true", option);
    }
}

void import_router(struct import *im, const char *alias)
{
    const struct roles r = {
        .id = or_default(import_take_of(im, alias, "table.field.event.id"), "id"),
        .aggregatetype = or_default(import_take_of(im, alias, "route.by.field"), "aggregatetype"),
        .aggregateid =
            or_default(import_take_of(im, alias, "table.field.event.key"), "aggregateid"),
        .type = or_default(import_take_of(im, alias, "table.field.event.type"), "type"),
        .payload = or_default(import_take_of(im, alias, "table.field.event.payload"), "payload"),
        .created_at = import_take_of(im, alias, "table.field.event.timestamp")};
    buf_add_str(&im->headers, "id");
    put_columns(im, &r);
    put_topic(im, alias);
    put_switch(im, alias, "table.expand.json.payload", "expand_json");
    put_switch(im, alias, "route.tombstone.on.empty.payload", "blank_is_null");
    put_placement(im, alias, &r);
}
