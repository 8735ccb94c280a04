/* Takes options, and keeps what is said of them: lines of YAML, comments, and the operator's lists.
 */
#include "base/shown.h"
#include "cli/import/internal.h"
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

/* A name with one of these is that of a secret. */
static const char *const secrets[] = {
    "password",     "secret",  "token",  "jaas",      "credential", "passphrase", "private",
    "keystore.key", "api.key", "apikey", "user.info", "auth.jwt",   "auth.seed",  "hash"};

enum { VALUE_SHOWN = 60, NOTE_MAX = 1024 };

struct import_option *import_find(struct import *im, const char *name)
{
    for (size_t i = 0; i < im->options->count; i++) {
        if (strcmp(im->options->items[i].name, name) == 0) {
            return &im->options->items[i];
        }
    }
    return NULL;
}

struct import_option *import_find_of(struct import *im, const char *alias, const char *name)
{
    CLEANUP(buf_release) struct buf full = {0};
    buf_printf(&full, "transforms.%s.%s", alias, name);
    return import_find(im, buf_str(&full));
}

bool import_has_transform(struct import *im, const char *class)
{
    for (size_t i = 0; i < im->options->count; i++) {
        const struct import_option *o = &im->options->items[i];
        if (strncmp(o->name, "transforms.", strlen("transforms.")) == 0 &&
            strstr(o->value, class)) {
            return true;
        }
    }
    return false;
}

static const char *taken(struct import_option *o)
{
    if (o) {
        o->taken = true;
    }
    return o ? o->value : NULL;
}

const char *import_take(struct import *im, const char *name)
{
    return taken(import_find(im, name));
}

const char *import_take_of(struct import *im, const char *alias, const char *name)
{
    return taken(import_find_of(im, alias, name));
}

bool import_is(const char *value, const char *word)
{
    return value && strcasecmp(value, word) == 0;
}

static bool is_secret(const char *name)
{
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++) {
        if (strcasestr(name, secrets[i])) {
            return true;
        }
    }
    return false;
}

/* A switch or a small number tells no secret. */
static bool is_harmless(const char *value)
{
    size_t digits = strspn(value, "0123456789");
    return import_is(value, "true") || import_is(value, "false") || (digits < 7 && !value[digits]);
}

/* "name=value" on one line, without what is secret. The salt of column.mask.hash is in its name. */
static void add_shown(struct buf *out, const struct import_option *o)
{
    CLEANUP(buf_release) struct buf text = {0}, value = {0};
    const char *salt = strcasestr(o->shown, ".with.salt.");
    struct slice name = {o->shown, salt ? (size_t)(salt - o->shown) + strlen(".with.salt.")
                                        : strlen(o->shown)};
    buf_printf(&text, "%.*s%s=", SLICE_FMT(name), salt ? "***" : "");
    shown_escape(out, buf_slice(&text), SHOWN_IN_LINE);
    if ((is_secret(o->shown) || (o->hidden && !is_harmless(o->value))) && !salt) {
        buf_add_str(out, "***");
        return;
    }
    shown_add(&value, slice_from(o->value), SHOWN_IN_LINE);
    bool cut = value.len > VALUE_SHOWN;
    buf_truncate(&value, cut ? VALUE_SHOWN : value.len);
    shown_escape(out, buf_slice(&value), SHOWN_IN_LINE);
    buf_add_str(out, cut ? "..." : "");
}

static void add_note(struct import *im, enum debezium_effect effect, const char *what,
                     const char *text)
{
    CLEANUP(buf_release) struct buf shown = {0}, line = {0};
    bool messages = effect == DEBEZIUM_MESSAGES;
    shown_add(&shown, slice_from(text), SHOWN_IN_LINE);
    shown_escape(&line, slice_from(what), SHOWN_IN_LINE); /* a line end would leave the comment */
    text = buf_str(&shown);
    what = buf_str(&line);
    buf_printf(messages ? &im->messages : &im->operation, "  %s: %s\n", what, text);
    buf_printf(&im->comments, "#   %s\n#     %s%s\n", what, messages ? "CHANGES MESSAGES: " : "",
               text);
    im->result->changes |= messages;
}

/* A key stands in a map once. */
static bool is_put(const struct buf *map, const char *key)
{
    CLEANUP(buf_release) struct buf line = {0};
    buf_printf(&line, "      %s: ", key);
    return strstr(buf_str(map), buf_str(&line)) != NULL;
}

void import_put(struct import *im, enum import_map map, const char *key, const char *yaml,
                const char *from)
{
    struct buf *out = &im->maps[map];
    if (is_put(out, key)) {
        CLEANUP(buf_release) struct buf text = {0};
        buf_printf(&text, "%s is there already, from another option; %s is not taken over", key,
                   yaml);
        add_note(im, DEBEZIUM_MESSAGES, from ? from : key, buf_str(&text));
        return;
    }
    buf_printf(out, "      %s: %s", key, yaml);
    if (from) {
        buf_add_str(out, "  # ");
        shown_escape(out, slice_from(from), SHOWN_IN_LINE);
    }
    buf_add_char(out, '\n');
}

void import_note(struct import *im, enum debezium_effect effect, struct import_option *o,
                 const char *fmt, ...)
{
    char text[NOTE_MAX];
    CLEANUP(buf_release) struct buf what = {0};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    o->taken = true;
    if (effect != DEBEZIUM_NOTHING) {
        add_shown(&what, o);
        add_note(im, effect, buf_str(&what), text);
        return;
    }
    shown_escape(&what, slice_from(o->shown), SHOWN_IN_LINE);
    buf_printf(&im->nothing, "%s%s", im->nothing.len ? ", " : "", buf_str(&what));
}

void import_say(struct import *im, enum debezium_effect effect, const char *what, const char *fmt,
                ...)
{
    char text[NOTE_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    add_note(im, effect, what, text);
}

void import_unknown(struct import *im, struct import_option *o)
{
    CLEANUP(buf_release) struct buf what = {0};
    shown_escape(&what, slice_from(o->shown), SHOWN_IN_LINE);
    o->taken = true;
    add_note(im, DEBEZIUM_MESSAGES, buf_str(&what),
             "is not known here; look what it does, and whether it changes messages");
}

void import_todo(struct import *im, const char *fmt, ...)
{
    char text[NOTE_MAX];
    CLEANUP(buf_release) struct buf shown = {0};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    shown_add(&shown, slice_from(text), SHOWN_IN_LINE);
    buf_printf(&im->todo, "  %s\n", buf_str(&shown));
}
