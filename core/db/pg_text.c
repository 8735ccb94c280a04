/*
 * Text for and from PostgreSQL: quotes names, literals and array elements for statements, and turns
 * messages of the server into one line. A name with a quote in it must stay one name: otherwise a
 * table name in the configuration could contain SQL of its own.
 */
#include "db/internal.h"

#include <stdio.h>
#include <stdlib.h>

enum { NAME_MAX_BYTES = 63 };

static bool starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

void pg_find_sqlstate(const char *text, char out[6])
{
    out[0] = '\0';
    for (const char *p = text; (p = strstr(p, ":  ")) != NULL; p += 3) {
        const char *code = p + 3;
        size_t n = strspn(code, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ");
        if (n == 5 && code[5] == ':') {
            memcpy(out, code, 5);
            out[5] = '\0';
        }
    }
}

void pg_flatten(const char *text, char *out, size_t size)
{
    size_t used = 0;
    while (*text && used + 3 < size) {
        size_t line = strcspn(text, "\n");
        if (line > 0 && !starts(text, "LOCATION:")) {
            if (used > 0) {
                out[used++] = ';';
                out[used++] = ' ';
            }
            for (size_t i = 0; i < line && used + 1 < size; i++) {
                unsigned char c = (unsigned char)text[i];
                out[used++] = c < ' ' ? ' ' : (char)c;
            }
        }
        text += line + (text[line] == '\n');
    }
    while (used > 0 && out[used - 1] == ' ') {
        used--;
    }
    out[used] = '\0';
}

/* --- quoting --- */

static int quote_part(struct buf *out, struct slice name, struct error *err)
{
    if (name.len == 0 || memchr(name.ptr, '\0', name.len)) {
        return error_set(err, ERROR_CONFIG, "postgres", "an SQL name is empty or holds a NUL byte");
    }
    if (name.len > NAME_MAX_BYTES) {
        return error_set(err, ERROR_CONFIG, "postgres",
                         "the name \"%.*s...\" is longer than 63 bytes, which PostgreSQL would cut",
                         40, name.ptr);
    }
    buf_add_char(out, '"');
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '"') {
            buf_add_char(out, '"');
        }
        buf_add_char(out, name.ptr[i]);
    }
    buf_add_char(out, '"');
    return RESULT_DONE;
}

int pg_quote_name(struct buf *out, struct slice name, struct error *err)
{
    return quote_part(out, name, err);
}

/* Reads one part of a table name (the schema or the table) up to a dot outside of quotes. *pos
 * moves behind it. `whole` is for the error text. */
static int next_part(const char **pos, struct buf *part, const char *whole, struct error *err)
{
    const char *p = *pos;
    buf_clear(part);
    if (*p == '"') {
        for (p++; *p && (*p != '"' || p[1] == '"'); p++) {
            p += *p == '"';
            buf_add_char(part, *p);
        }
        if (*p != '"' || (p[1] && p[1] != '.')) {
            return error_set(err, ERROR_CONFIG, "postgres",
                             "table name %.200s: a double quote is not closed", whole);
        }
        p++;
    } else {
        size_t n = strcspn(p, ".");
        buf_add(part, p, n);
        p += n;
    }
    *pos = p;
    return RESULT_DONE;
}

int pg_quote_table(struct buf *out, const char *name, struct error *err)
{
    CLEANUP(buf_release) struct buf first = {0}, second = {0};
    const char *pos = name;
    if (next_part(&pos, &first, name, err)) {
        return RESULT_ERROR;
    }
    bool qualified = *pos == '.';
    if (qualified) {
        pos++;
        if (next_part(&pos, &second, name, err)) {
            return RESULT_ERROR;
        }
    }
    if (*pos) {
        return error_set(
            err, ERROR_CONFIG, "postgres",
            "table name %.200s has too many parts: write schema.table, with a dot inside a name in double quotes",
            name);
    }
    struct slice schema = qualified ? buf_slice(&first) : SLICE_LITERAL("public");
    if (quote_part(out, schema, err)) {
        return error_prefix(err, "table name %.200s", name);
    }
    buf_add_char(out, '.');
    if (quote_part(out, buf_slice(qualified ? &second : &first), err)) {
        return error_prefix(err, "table name %.200s", name);
    }
    return RESULT_DONE;
}

void pg_quote_literal(struct buf *out, struct slice text)
{
    buf_add_char(out, '\'');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\'') {
            buf_add_char(out, '\'');
        }
        buf_add_char(out, text.ptr[i]);
    }
    buf_add_char(out, '\'');
}

static bool is_plain(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (!((c >= '0' && c <= '9') || c == '-')) {
            return false;
        }
    }
    return text.len > 0;
}

void pg_array_element(struct buf *out, struct slice text)
{
    if (out->len > 1) {
        buf_add_char(out, ',');
    }
    if (is_plain(text)) {
        buf_add_slice(out, text);
        return;
    }
    buf_add_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"' || text.ptr[i] == '\\') {
            buf_add_char(out, '\\');
        }
        buf_add_char(out, text.ptr[i]);
    }
    buf_add_char(out, '"');
}
