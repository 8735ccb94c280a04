/* Writes values as YAML and as parts of URLs. Debezium's files hold ${...} of several kinds, and
 * all of them become ${VARIABLE} of ours; secrets become such a variable in any case. */
#include "base/shown.h"
#include "cli/import/internal.h"
#include "config/conf_text.h"
#include <ctype.h>
#include <strings.h>

enum { VARIABLE_MAX = 100 };

/* A literal text, or a variable that stands in its place. */
struct piece {
    struct slice text;
    bool variable;
    char name[VARIABLE_MAX];
};

static bool is_name(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (!isalnum((unsigned char)c) && c != '_') {
            return false;
        }
    }
    return text.len > 0 && text.len < VARIABLE_MAX && !isdigit((unsigned char)text.ptr[0]);
}

static void copy_name(char out[VARIABLE_MAX], struct slice text)
{
    memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
}

/* A variable's name made of an option's: database.hostname gives DATABASE_HOSTNAME. */
static void make_name(char out[VARIABLE_MAX], const char *option)
{
    size_t n = 0;
    for (; option[n] && n + 1 < VARIABLE_MAX; n++) {
        unsigned char c = (unsigned char)option[n];
        out[n] = isalnum(c) ? (char)toupper(c) : '_';
    }
    out[n] = '\0';
}

/* Says once what a variable has to hold. */
static void need_variable(struct import *im, const char *name, const char *what)
{
    CLEANUP(buf_release) struct buf key = {0};
    buf_printf(&key, " %s ", name);
    if (!strstr(buf_str(&im->variables), buf_str(&key))) {
        buf_add_slice(&im->variables, buf_slice(&key));
        import_todo(im, "set the environment variable %s: %s", name, what);
    }
}

/* What stands between ${ and }: NAME, NAME:default, env:NAME, or a reference of another kind. */
static void name_variable(struct import *im, const char *option, struct slice inside,
                          struct piece *ret)
{
    CLEANUP(buf_release) struct buf what = {0};
    const char *colon = memchr(inside.ptr, ':', inside.len);
    struct slice head = {inside.ptr, colon ? (size_t)(colon - inside.ptr) : inside.len};
    struct slice tail = {colon ? colon + 1 : "", colon ? inside.len - head.len - 1 : 0};
    bool from_env = slice_equal_str(head, "env") || slice_equal_str(head, "strimzienv");
    if (from_env && is_name(tail)) {
        copy_name(ret->name, tail);
        buf_printf(&what, "%s has it from there", option);
    } else if (is_name(head) && !(colon && memchr(tail.ptr, ':', tail.len)) &&
               !(colon && memchr(tail.ptr, '/', tail.len))) {
        copy_name(ret->name, head);
        buf_printf(&what, "%s has it from there", option);
        if (tail.len) {
            buf_add_str(&what, "; the old file has a default for it"); /* perhaps a secret */
        }
    } else {
        make_name(ret->name, option);
        buf_printf(&what, "%s has it from ${%.*s}", option, SLICE_FMT(inside));
    }
    need_variable(im, ret->name, buf_str(&what));
}

/* The next piece of *at, which moves on; false at its end. */
static bool next_piece(struct import *im, const char *option, const char **at, struct piece *ret)
{
    const char *from = *at, *dollar = strstr(from, "${");
    const char *close = dollar ? strchr(dollar, '}') : NULL;
    *ret = (struct piece){.variable = close && dollar == from};
    if (!*from) {
        return false;
    }
    if (ret->variable) {
        name_variable(im, option, (struct slice){from + 2, (size_t)(close - from) - 2}, ret);
        *at = close + 1;
        return true;
    }
    ret->text = (struct slice){from, close ? (size_t)(dollar - from) : strlen(from)};
    *at = from + ret->text.len;
    return true;
}

/* Whether YAML reads the text as itself without quotes. */
static bool is_plain(const char *text)
{
    static const char *const words[] = {"null", "true", "false", "yes", "no", "on", "off"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcasecmp(text, words[i]) == 0) {
            return false;
        }
    }
    if (!isalpha((unsigned char)*text) && *text != '/') {
        return false;
    }
    for (const char *p = text; *p; p++) {
        if (!isalnum((unsigned char)*p) && !strchr("_./:@?=&%+-", *p)) {
            return false;
        }
        if (*p == ':' && !p[1]) {
            return false;
        }
    }
    return true;
}

static void add_quoted(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == '"' || c == '\\') {
            buf_printf(out, "\\%c", c);
        } else if (c < 0x20 || c == 0x7f) {
            buf_printf(out, "\\x%02x", c);
        } else if (c == '$' && i + 1 < text.len && text.ptr[i + 1] == '{') {
            buf_add_str(out, "$$");
        } else {
            buf_add_char(out, (char)c);
        }
    }
}

void import_variable(struct import *im, struct buf *out, const char *variable, const char *what)
{
    need_variable(im, variable, what);
    buf_printf(out, "\"${%s}\"", variable);
}

void import_text(struct import *im, struct buf *out, const char *option, const char *value)
{
    struct piece p;
    if (conf_has_password(slice_from(value))) { /* user:password@ in a URL */
        CLEANUP(buf_release) struct buf what = {0};
        make_name(p.name, option);
        buf_printf(&what, "the value of %s, which holds a password", option);
        import_variable(im, out, p.name, buf_str(&what));
        return;
    }
    if (is_plain(value)) {
        buf_add_str(out, value);
        return;
    }
    buf_add_char(out, '"');
    while (next_piece(im, option, &value, &p)) {
        if (p.variable) {
            buf_printf(out, "${%s}", p.name);
        } else {
            add_quoted(out, p.text);
        }
    }
    buf_add_char(out, '"');
}

void import_literal(struct buf *out, const char *value)
{
    buf_add_char(out, '"');
    add_quoted(out, slice_from(value));
    buf_add_char(out, '"');
}

void import_put_text(struct import *im, enum import_map map, const char *key, const char *option,
                     const char *value)
{
    CLEANUP(buf_release) struct buf text = {0};
    import_text(im, &text, option, value);
    import_put(im, map, key, buf_str(&text), option);
}

void import_url_part(struct import *im, struct buf *out, const char *option, const char *value)
{
    struct piece p;
    while (next_piece(im, option, &value, &p)) {
        if (p.variable) {
            buf_printf(out, "${%s}", p.name);
        }
        for (size_t i = 0; i < p.text.len; i++) {
            unsigned char c = (unsigned char)p.text.ptr[i];
            if (isalnum(c) || strchr("-._~", c)) {
                buf_add_char(out, (char)c);
            } else {
                buf_printf(out, "%%%02X", c);
            }
        }
    }
}

void import_secret(struct import *im, struct buf *out, const struct import_option *o,
                   const char *variable)
{
    struct piece p = {0};
    const char *value = o->value, *close = strchr(value, '}');
    CLEANUP(buf_release) struct buf what = {0};
    /* One that already comes from the environment keeps its name; a default is not shown. */
    if (strncmp(value, "${", 2) == 0 && close && !close[1]) {
        struct slice inside = {value + 2, strcspn(value + 2, ":}")};
        if (slice_equal_str(inside, "env")) {
            inside.ptr += inside.len + 1;
            inside.len = strcspn(inside.ptr, ":}");
        }
        if (is_name(inside) && inside.ptr[inside.len] != ':') {
            copy_name(p.name, inside);
            variable = p.name;
        }
    }
    buf_printf(&what, "the secret of %s, which is not copied", o->shown);
    import_variable(im, out, variable, buf_str(&what));
}

char *import_copy(struct import *im, const struct buf *b)
{
    char *text = arena_bytes(im->memory, b->len + 1);
    memcpy(text, buf_str(b), b->len + 1);
    return text;
}
