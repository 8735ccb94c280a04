/* Names, literals, connection strings and error codes: what is quoted cannot break out, what is
 * shown holds no password. */
#include "db/pg_private.h"

#include <stdio.h>
#include <stdlib.h>

enum { NAME_MAX_BYTES = 63 };

static bool starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

void pg_class(const char *sqlstate, enum error_class *ret_class, int *ret_exit_code)
{
    static const struct {
        const char *prefix;
        enum error_class class;
        int exit_code;
    } table[] = {
        {"28", ERROR_CONFIG, EXIT_CODE_PERMISSION},
        {"3D000", ERROR_CONFIG, EXIT_CODE_PERMISSION},
        {"42501", ERROR_CONFIG, EXIT_CODE_PERMISSION},
        {"42601", ERROR_FATAL, EXIT_CODE_BUG},  /* our own text does not parse */
        {"42", ERROR_CONFIG, EXIT_CODE_CONFIG}, /* tables or columns are not what we knew */
        {"3F000", ERROR_CONFIG, EXIT_CODE_CONFIG},
        {"23505", ERROR_FATAL, EXIT_CODE_BUG},  /* only our own tables get rows from us */
        {"23", ERROR_CONFIG, EXIT_CODE_CONFIG}, /* a constraint or a trigger forbids a mark */
        {"P0", ERROR_CONFIG, EXIT_CODE_CONFIG},
        {"08", ERROR_RETRY, EXIT_CODE_GAVE_UP},
        {"57", ERROR_RETRY, EXIT_CODE_GAVE_UP},
        {"53", ERROR_RETRY, EXIT_CODE_GAVE_UP},
        {"40", ERROR_RETRY, EXIT_CODE_GAVE_UP},
        {"55P03", ERROR_RETRY, EXIT_CODE_GAVE_UP},
        {"25006", ERROR_RETRY, EXIT_CODE_GAVE_UP},
        {"XX000", ERROR_RETRY, EXIT_CODE_GAVE_UP},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (starts(sqlstate, table[i].prefix)) {
            *ret_class = table[i].class;
            *ret_exit_code = table[i].exit_code;
            return;
        }
    }
    *ret_class = sqlstate[0] ? ERROR_FATAL : ERROR_RETRY;
    *ret_exit_code = sqlstate[0] ? EXIT_CODE_BUG : EXIT_CODE_GAVE_UP;
}

const char *pg_remedy(const char *sqlstate)
{
    static const struct {
        const char *prefix, *text;
    } table[] = {
        {"28", "check the user, its password (PGPASSFILE or a service file) and pg_hba.conf"},
        {"3D000", "check the database name in the URL"},
        {"42501", "grant the role what it needs (schema/postgres/roles.sql)"},
        {"42P01", "the table is missing: put it back, or correct the configuration"},
        {"42", "tables or columns were changed: compare them with the configuration"},
        {"23", "a constraint of the table forbids what the relay must write there"},
        {"P0", "a trigger forbids what the relay must do"},
        {"25006", "the server is read-only: name the primary, or several hosts with"
                  " target_session_attrs=read-write"},
        {"53300", "raise max_connections or the role's CONNECTION LIMIT"},
        {"57014", "the statement was cancelled (statement_timeout, or by hand)"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (starts(sqlstate, table[i].prefix)) {
            return table[i].text;
        }
    }
    return "";
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

/* One part of a table name, up to a dot outside quotes; *pos moves behind it. */
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
    if (next_part(&pos, &first, name, err) != RESULT_DONE) {
        return RESULT_ERROR;
    }
    bool qualified = *pos == '.';
    if (qualified) {
        pos++;
        if (next_part(&pos, &second, name, err) != RESULT_DONE) {
            return RESULT_ERROR;
        }
    }
    if (*pos) {
        return error_set(
            err, ERROR_CONFIG, "postgres",
            "table name %.200s has too many parts: write schema.table, with a dot inside a"
            " name in double quotes",
            name);
    }
    struct slice schema = qualified ? buf_slice(&first) : SLICE_LITERAL("public");
    if (quote_part(out, schema, err) != RESULT_DONE) {
        return error_prefix(err, "table name %.200s", name);
    }
    buf_add_char(out, '.');
    if (quote_part(out, buf_slice(qualified ? &second : &first), err) != RESULT_DONE) {
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
