/* Where the events come from: the database, the slot, the publication and the tables. */
#include "cli/import/internal.h"

static void add_parameter(struct import *im, struct buf *url, const char *option, const char *name)
{
    const char *value = import_take(im, option);
    if (value && *value) {
        buf_printf(url, "%c%s=", strchr(buf_str(url), '?') ? '&' : '?', name);
        import_url_part(im, url, option, value);
    }
}

static void put_url(struct import *im)
{
    CLEANUP(buf_release) struct buf url = {0};
    const char *user = import_take(im, "database.user");
    const char *host = import_take(im, "database.hostname");
    const char *port = import_take(im, "database.port");
    const char *name = import_take(im, "database.dbname");
    buf_add_str(&url, "postgresql://");
    if (user && *user) {
        import_url_part(im, &url, "database.user", user);
        buf_add_char(&url, '@');
    }
    if (host && strchr(host, ':') && !host[strspn(host, "0123456789abcdefABCDEF:.[]")]) { /* IPv6 */
        buf_printf(&url, *host == '[' ? "%s" : "[%s]", host);
    } else if (host) {
        import_url_part(im, &url, "database.hostname", host);
    }
    if (port && *port) {
        buf_add_char(&url, ':');
        import_url_part(im, &url, "database.port", port);
    }
    buf_add_char(&url, '/');
    import_url_part(im, &url, "database.dbname", name ? name : "");
    add_parameter(im, &url, "database.sslmode", "sslmode");
    add_parameter(im, &url, "database.sslrootcert", "sslrootcert");
    add_parameter(im, &url, "database.sslcert", "sslcert");
    add_parameter(im, &url, "database.sslkey", "sslkey");
    buf_add_char(&url, '"');
    CLEANUP(buf_release) struct buf yaml = {0};
    buf_printf(&yaml, "\"%s", buf_str(&url));
    import_put(im, IMPORT_SOURCE, "url", buf_str(&yaml), "database.hostname and so on");
    if (import_take(im, "database.password")) {
        import_todo(im, "database.password is not copied: put it into the file that PGPASSFILE "
                        "names (a line HOST:PORT:DATABASE:USER:PASSWORD, mode 0600), or into the "
                        "variable PGPASSWORD");
    }
}

/* The slot is a copy of Debezium's, so that the relay goes on where Debezium stopped and the way
 * back stays open. */
static void put_slot(struct import *im)
{
    const char *slot = import_take(im, "slot.name");
    const char *plugin = import_take(im, "plugin.name");
    const char *publication = import_take(im, "publication.name");
    CLEANUP(buf_release) struct buf own = {0};
    buf_printf(&own, "commitrelay_%s", im->pipeline);
    for (char *p = own.data; *p; p++) {
        *p = *p == '-' ? '_' : *p;
    }
    slot = slot ? slot : "debezium";
    import_put(im, IMPORT_SOURCE, "slot", buf_str(&own), "a copy of slot.name");
    import_put(im, IMPORT_SOURCE, "create_slot", "false",
               "a new slot would begin now, and what Debezium has not sent would be missing");
    import_put(im, IMPORT_SOURCE, "start_from", "beginning", "where the copied slot stands");
    import_put_text(im, IMPORT_SOURCE, "publication", "publication.name",
                    publication ? publication : "dbz_publication");
    bool pgoutput = import_is(plugin, "pgoutput");
    import_todo(im,
                "once Debezium has stopped: SELECT pg_copy_logical_replication_slot('%s', "
                "'%s'%s)",
                slot, buf_str(&own), pgoutput ? "" : ", false, 'pgoutput'");
    if (!pgoutput) {
        import_say(im, DEBEZIUM_OPERATION, plugin ? "plugin.name" : "plugin.name (decoderbufs)",
                   "the relay reads pgoutput, for which the publication has to be there before "
                   "what is to be sent: make it, let Debezium send all that was written until "
                   "then, and copy its slot after that");
    }
}

static bool is_among(const struct import_names *names, struct slice name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (slice_equal_str(name, names->items[i])) {
            return true;
        }
    }
    return false;
}

/* Whether all tables are named, each in one of the schemas. */
static bool tables_are_in(const struct import_names *tables, const struct import_names *schemas)
{
    for (size_t i = 0; i < tables->count; i++) {
        struct slice schema = {tables->items[i], strcspn(tables->items[i], ".")};
        if (!is_among(schemas, schema)) {
            return false;
        }
    }
    return tables->count > 0;
}

static struct import_option *either(struct import *im, const char *name, const char *old)
{
    struct import_option *o = import_find(im, name);
    return o ? o : import_find(im, old);
}

/* Adds the names, or patterns "re:<head><item><tail>", to a list. */
static void add_tables(struct import *im, struct buf *list, const char *option,
                       const struct import_names *items, const char *head, const char *tail)
{
    for (size_t i = 0; i < items->count; i++) {
        CLEANUP(buf_release) struct buf entry = {0};
        buf_printf(&entry, "%s%s%s", head, items->items[i], tail);
        buf_add_str(list, list->len ? ", " : "");
        import_text(im, list, option, buf_str(&entry));
    }
}

static void put_tables(struct import *im, const char *option, const struct buf *list)
{
    CLEANUP(buf_release) struct buf yaml = {0};
    buf_printf(&yaml, "[%s]", buf_str(list));
    import_put(im, IMPORT_SOURCE, "tables", buf_str(&yaml), option);
}

/* A list of schemas is one of all their tables, where no tables are listed. */
static void take_schemas(struct import *im)
{
    struct import_option *o = either(im, "schema.include.list", "schema.whitelist");
    struct import_names plain = {0}, patterns = {0};
    if (!o) {
        return;
    }
    import_split(im->memory, o->value, &plain, &patterns);
    if (patterns.count == 0 && tables_are_in(&im->tables, &plain)) {
        import_note(im, DEBEZIUM_NOTHING, o, "%s", "");
        return;
    }
    if (im->outbox || either(im, "table.include.list", "table.whitelist")) {
        import_note(im, DEBEZIUM_MESSAGES, o, "%s",
                    "source.tables decides: take those out that are in other schemas");
        return;
    }
    CLEANUP(buf_release) struct buf list = {0};
    add_tables(im, &list, o->name, &plain, "re:(", ")\\..*");
    add_tables(im, &list, o->name, &patterns, "re:(", ")\\..*");
    put_tables(im, o->name, &list);
    o->taken = true;
}

/* The outbox is the only table, or the only one that is called so. */
static void put_outbox(struct import *im, struct import_option *o)
{
    const char *outbox = im->tables.count == 1 ? im->tables.items[0] : NULL;
    size_t called = 0;
    for (size_t i = 0; im->tables.count > 1 && i < im->tables.count; i++) {
        if (strcasestr(im->tables.items[i], "outbox")) {
            outbox = called++ ? NULL : im->tables.items[i];
        }
    }
    import_put(im, IMPORT_SOURCE, "as", "outbox", "the transform EventRouter");
    if (outbox) {
        import_put_text(im, IMPORT_SOURCE, "table", "table.include.list", outbox);
    } else {
        import_put(im, IMPORT_SOURCE, "table", "outbox", NULL);
        import_say(im, DEBEZIUM_MESSAGES, "table.include.list",
                   "does not say which table is the outbox: name it in source.table");
    }
    if (outbox && im->tables.count > 1) {
        import_note(im, DEBEZIUM_MESSAGES, o,
                    "a pipeline has the outbox %s alone; the other tables need a second one, with "
                    "`as: changes` and a slot copy of its own",
                    outbox);
    }
}

static void take_tables(struct import *im)
{
    struct import_option *o = either(im, "table.include.list", "table.whitelist");
    struct import_names patterns = {0};
    if (o) {
        import_split(im->memory, o->value, &im->tables, &patterns);
        o->taken = true;
    }
    if (im->outbox && patterns.count) {
        import_note(im, DEBEZIUM_MESSAGES, o, "the pattern %s: name the outbox in source.table",
                    patterns.items[0]);
    }
    if (im->outbox) {
        put_outbox(im, o);
    } else if (im->tables.count + patterns.count) {
        CLEANUP(buf_release) struct buf list = {0};
        add_tables(im, &list, "table.include.list", &im->tables, "", "");
        add_tables(im, &list, "table.include.list", &patterns, "re:", "");
        put_tables(im, "table.include.list", &list);
    }
    im->tables.count = patterns.count && !im->outbox ? 0 : im->tables.count; /* not all known */
}

/* Appends "(?!(?:a|b)<tail>$)" for the items of a list: what begins there may not be one of them.
 */
static void add_exclusion(struct buf *out, const struct import_option *o, const char *tail)
{
    CLEANUP(buf_release) struct buf item = {0};
    size_t n = 0;
    for (const char *at = o ? o->value : ""; import_item(&at, &item);) {
        buf_add_str(out, n++ ? "|" : "(?!(?:");
        buf_add_slice(out, buf_slice(&item));
    }
    if (n) {
        buf_printf(out, ")%s$)", tail);
    }
}

/* Lists of what is left out are one pattern of all the rest. */
static void take_exclusions(struct import *im)
{
    struct import_option *tables = either(im, "table.exclude.list", "table.blacklist");
    struct import_option *schemas = either(im, "schema.exclude.list", "schema.blacklist");
    CLEANUP(buf_release) struct buf pattern = {0}, list = {0};
    const struct import_option *first = tables ? tables : schemas;
    if (im->outbox || !first) {
        return; /* an outbox has one table */
    }
    buf_add_str(&pattern, "re:");
    add_exclusion(&pattern, tables, "");
    add_exclusion(&pattern, schemas, "\\..*");
    buf_add_str(&pattern, ".*");
    import_text(im, &list, "table.exclude.list", buf_str(&pattern));
    put_tables(im, first->name, &list);
    if (tables) {
        tables->taken = true;
    }
    if (schemas) {
        schemas->taken = true;
    }
}

static void take_heartbeat(struct import *im)
{
    struct import_option *o = import_find(im, "heartbeat.interval.ms");
    const char *ms = import_take(im, "heartbeat.interval.ms");
    if (!ms || import_is(ms, "0")) {
        return;
    }
    bool fits = strspn(ms, "0123456789") == strlen(ms) && strlen(ms) > 2 && strlen(ms) < 9;
    if (fits) {
        CLEANUP(buf_release) struct buf value = {0};
        buf_printf(&value, "%sms", ms);
        import_put(im, IMPORT_SOURCE, "heartbeat_interval", buf_str(&value),
                   "heartbeat.interval.ms");
    }
    im->heartbeats = fits ? o : NULL; /* import_apart goes on with it */
    if (!fits) {
        import_note(im, DEBEZIUM_MESSAGES, o, "%s",
                    "source.heartbeat_interval goes from 100ms to 24h: set it, and "
                    "encode.heartbeat_topic");
    }
}

static void take_messages(struct import *im)
{
    struct import_option *o = import_find(im, "message.prefix.include.list");
    struct import_names plain = {0}, patterns = {0};
    CLEANUP(buf_release) struct buf list = {0};
    if (!o) {
        return;
    }
    import_split(im->memory, o->value, &plain, &patterns);
    if (patterns.count || im->outbox) {
        import_note(im, DEBEZIUM_MESSAGES, o, "%s",
                    im->outbox
                        ? "logical messages need a pipeline with `as: changes`"
                        : "patterns are not supported: name the prefixes in source.messages");
        return;
    }
    for (size_t i = 0; i < plain.count; i++) {
        buf_add_str(&list, i ? ", " : "[");
        import_text(im, &list, o->name, plain.items[i]);
    }
    buf_add_char(&list, ']');
    import_put(im, IMPORT_SOURCE, "messages", buf_str(&list), o->name);
    o->taken = true;
}

void import_source(struct import *im)
{
    put_url(im);
    put_slot(im);
    take_tables(im);
    take_schemas(im);
    take_exclusions(im);
    import_snapshot(im);
    take_heartbeat(im);
    take_messages(im);
}
