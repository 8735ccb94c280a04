/* Rewriting of topics by a regular expression, as far as a template can say the same. Debezium's
 * topic is prefix.schema.table: where an expression takes these parts one by one, each of its
 * groups is one of {name}, {schema} and {table}. */
#include "cli/import/names.h"
#include <ctype.h>

enum { PARTS = 3, GROUP_NAME = 40 };

/* A part of the expression between two dots. */
struct part {
    bool group, any;      /* in brackets; any text fits */
    bool greedy;          /* it may take dots, too */
    struct slice name;    /* of the group; empty: none */
    struct slice literal; /* what has to stand there */
};

static const struct {
    const char *text;
    bool greedy;
} wild[] = {{".*", true},         {".+", true},
            {".*?", false},       {"[^.]+", false},
            {"[^.]*", false},     {"[^\\.]+", false},
            {"[^\\.]*", false},   {"\\w+", false},
            {"\\w*", false},      {"[a-zA-Z0-9_]+", false},
            {"[a-zA-Z_]+", false}};

static bool is_literal(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (strchr(".*+?[](){}|^$\\", text.ptr[i])) {
            return false;
        }
    }
    return text.len > 0;
}

static bool read_body(struct slice body, struct part *ret)
{
    for (size_t i = 0; i < sizeof wild / sizeof *wild; i++) {
        if (slice_equal_str(body, wild[i].text)) {
            ret->any = true;
            ret->greedy = wild[i].greedy;
            return true;
        }
    }
    ret->literal = body;
    return is_literal(body);
}

/* The text inside the brackets at *at, which moves behind them. False: there is no end. */
static bool read_group(const char **at, struct part *ret)
{
    const char *from = *at + 1, *close = strchr(from, ')');
    ret->group = true;
    if (!close) {
        return false;
    }
    if (strncmp(from, "?:", 2) == 0) {
        ret->group = false;
        from += 2;
    } else if (strncmp(from, "?<", 2) == 0) {
        const char *end = strchr(from, '>');
        if (!end || end > close) {
            return false;
        }
        ret->name = (struct slice){from + 2, (size_t)(end - from) - 2};
        from = end + 1;
    }
    *at = close + 1;
    return read_body((struct slice){from, (size_t)(close - from)}, ret);
}

/* Where the part that begins here ends: before a dot that stands for itself. */
static const char *part_end(const char *p)
{
    bool set = false;
    for (; *p; p++) {
        set = *p == '[' || (set && *p != ']');
        bool escaped = p[0] == '\\' && p[1] == '.';
        bool bare = *p == '.' && (!p[1] || !strchr("*+?{", p[1]));
        if (!set && (escaped || bare)) {
            break;
        }
        p += p[0] == '\\' && p[1] ? 1 : 0;
    }
    return p;
}

/* How many parts there are; 0: it cannot be told. */
static size_t read_parts(const char *regex, struct part parts[PARTS])
{
    size_t n = 0;
    for (const char *p = regex + (*regex == '^');; n++) {
        if (n == PARTS) {
            return 0;
        }
        parts[n] = (struct part){0};
        if (*p == '(') {
            if (!read_group(&p, &parts[n])) {
                return 0;
            }
        } else {
            const char *end = part_end(p);
            size_t len = (size_t)(end - p);
            len -= !*end && len > 0 && p[len - 1] == '$';
            if (!read_body((struct slice){p, len}, &parts[n])) {
                return 0;
            }
            p = end;
        }
        if (!*p || strcmp(p, "$") == 0) {
            return n + 1;
        }
        if (*p != '.' && strncmp(p, "\\.", 2) != 0) {
            return 0;
        }
        p += *p == '.' ? 1 : 2;
    }
}

static bool all_in_schema(const struct import_topics *topics, struct slice schema)
{
    for (size_t i = 0; i < topics->tables.count; i++) {
        if (!slice_equal(schema, (struct slice){topics->tables.items[i],
                                                strcspn(topics->tables.items[i], ".")})) {
            return false;
        }
    }
    return topics->tables.count > 0;
}

/* Whether a literal part is what this place of every topic holds: a topic that does not fit the
 * expression keeps its name. */
static bool fits(const struct import_topics *topics, size_t place, struct slice literal)
{
    if (place == 0) {
        return slice_equal_str(literal, topics->prefix);
    }
    if (place == 1) {
        return all_in_schema(topics, literal);
    }
    const char *dot = topics->tables.count == 1 ? strchr(topics->tables.items[0], '.') : NULL;
    return dot && slice_equal_str(literal, dot + 1);
}

/* What each part stands for, in *ret. False: it cannot be told. */
static bool name_parts(const struct import_topics *topics, const struct part *parts, size_t n,
                       const char *ret[PARTS])
{
    static const char *const places[] = {"{name}", "{schema}", "{table}"};
    for (size_t i = 0; i < n; i++) {
        ret[i] = places[i];
        if (!parts[i].any && !fits(topics, i, parts[i].literal)) {
            return false;
        }
    }
    if (n == 1) {
        ret[0] = "{name}.{schema}.{table}";
        return parts[0].greedy;
    }
    if (n == 2 && parts[0].any && parts[0].greedy && parts[1].any) {
        ret[0] = "{name}.{schema}";
        ret[1] = "{table}";
        return true;
    }
    if (n == 2) {
        ret[1] = "{schema}.{table}";
        return !parts[0].any && parts[1].greedy;
    }
    return true;
}

static const char *group_named(const struct part *parts, size_t n, const char *const *names,
                               struct slice wanted)
{
    size_t number = 0;
    for (size_t i = 0; i < n; i++) {
        char digit[2] = {(char)('1' + (int)number), '\0'};
        if (parts[i].group) {
            number++;
            if (slice_equal_str(wanted, digit) ||
                (parts[i].name.len && slice_equal(wanted, parts[i].name))) {
                return names[i];
            }
        }
    }
    return slice_equal_str(wanted, "0") ? "{name}.{schema}.{table}" : NULL;
}

/* $1, ${1}, ${name} at *at, which moves on. */
static struct slice read_reference(const char **at)
{
    const char *p = *at + 1;
    if (*p == '{') {
        size_t n = strcspn(p + 1, "}");
        *at = p + 1 + n + (p[1 + n] == '}');
        return (struct slice){p + 1, n};
    }
    *at = p + (*p != '\0');
    return (struct slice){p, *p != '\0'};
}

bool import_topic(struct buf *out, const struct import_topics *topics, const char *regex,
                  const char *replacement)
{
    struct part parts[PARTS];
    const char *names[PARTS];
    size_t n = read_parts(regex, parts);
    if (n == 0 || !name_parts(topics, parts, n, names)) {
        return false;
    }
    for (const char *p = replacement; *p;) {
        if (*p == '$') {
            const char *name = group_named(parts, n, names, read_reference(&p));
            if (!name) {
                return false;
            }
            buf_add_str(out, name);
        } else if (!isalnum((unsigned char)*p) && !strchr("._-", *p)) {
            return false; /* no topic holds it */
        } else {
            buf_add_char(out, *p++);
        }
    }
    return out->len > 0;
}
