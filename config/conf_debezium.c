/* The answers for Debezium's options, and the two texts that are made of them. */
#include "config/conf_debezium.h"

static const struct debezium_option options[] = {
#define OPTION(where, name, fallback, effect, ours, text) \
    {DEBEZIUM_##where, name, fallback, DEBEZIUM_##effect, ours, text},
#include "config/conf_debezium.def"
#undef OPTION
};

enum { OPTIONS = sizeof options / sizeof *options };

static const char *const headings[DEBEZIUM_WHERES] = {
    [DEBEZIUM_CONNECTOR] = "The PostgreSQL connector",
    [DEBEZIUM_CONNECT] = "Kafka Connect",
    [DEBEZIUM_SERVER] = "Debezium Server",
    [DEBEZIUM_ROUTER] = "The outbox router (`EventRouter`)",
    [DEBEZIUM_UNWRAP] = "`ExtractNewRecordState`",
    [DEBEZIUM_TOPICS] = "`RegexRouter` and `ByLogicalTableRouter`",
    [DEBEZIUM_TRANSFORM] = "Transforms"};

static const char *const effects[] = {[DEBEZIUM_KEY] = "translated",
                                      [DEBEZIUM_CODE] = "translated",
                                      [DEBEZIUM_MESSAGES] = "changes messages",
                                      [DEBEZIUM_OPERATION] = "only operation",
                                      [DEBEZIUM_NOTHING] = "not needed"};

/* Whether `name` is what `pattern` says. Each `*` takes as little as it can; the last piece has to
 * be the end. */
static bool matches(const char *pattern, struct slice name)
{
    const char *star = strchr(pattern, '*');
    if (!star) {
        return slice_equal_str(name, pattern);
    }
    size_t head = (size_t)(star - pattern);
    if (name.len < head || memcmp(name.ptr, pattern, head) != 0) {
        return false;
    }
    for (size_t skip = head; skip <= name.len; skip++) {
        if (matches(star + 1, (struct slice){name.ptr + skip, name.len - skip})) {
            return true;
        }
    }
    return false;
}

const struct debezium_option *debezium_option_find(enum debezium_where where, struct slice name)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        if (options[i].where == where && matches(options[i].name, name)) {
            return &options[i];
        }
    }
    return NULL;
}

const struct debezium_option *debezium_option_at(size_t i)
{
    return i < OPTIONS ? &options[i] : NULL;
}

static const struct debezium_option *find_anywhere(struct slice name)
{
    for (int where = 0; where < DEBEZIUM_TRANSFORM; where++) {
        const struct debezium_option *o = debezium_option_find((enum debezium_where)where, name);
        if (o) {
            return o;
        }
    }
    return NULL;
}

static struct slice without(struct slice name, const char *prefix)
{
    size_t n = strlen(prefix);
    bool has = name.len > n && memcmp(name.ptr, prefix, n) == 0;
    return has ? (struct slice){name.ptr + n, name.len - n} : name;
}

bool debezium_hint(struct buf *out, struct slice name)
{
    const struct debezium_option *o = find_anywhere(without(name, "debezium.source."));
    if (!o || !memchr(name.ptr, '.', name.len)) {
        return false;
    }
    if (*o->ours) {
        buf_printf(out, "; it is Debezium's name: here it is `%s`", o->ours);
    } else {
        buf_printf(out, "; it is a name of Debezium's: %s", o->text);
    }
    buf_add_str(out, " (docs/FROM-DEBEZIUM.md)");
    return true;
}

static void add_row(struct buf *out, const struct debezium_option *o)
{
    buf_printf(out, "| `%s` | %s | ", o->name, effects[o->effect]);
    if (*o->ours) {
        buf_printf(out, "`%s`%s", o->ours, *o->text ? ": " : "");
    }
    buf_add_replacing(out, o->text, "|", "\\|"); /* else it would end the cell */
    buf_add_str(out, " |\n");
}

void debezium_reference(struct buf *out)
{
    for (int where = 0; where < DEBEZIUM_WHERES; where++) {
        buf_printf(out, "%s### %s\n\n| Debezium | is | here |\n|---|---|---|\n", where ? "\n" : "",
                   headings[where]);
        for (size_t i = 0; i < OPTIONS; i++) {
            if (options[i].where == (enum debezium_where)where) {
                add_row(out, &options[i]);
            }
        }
    }
}
