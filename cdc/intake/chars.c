/* Values of type "char" (a single byte). PostgreSQL 14 sends a byte beyond ASCII as it is, which is
 * not valid UTF-8 and would break a JSON message. Later versions write it as \303; so does this. */
#include "cdc/intake/intake.h"

#include <stdio.h>

enum { CHAR_OID = 18, ESCAPED_FROM = 150000, ESCAPE_SIZE = 8 /* "\\303" in an array */ };

static bool is_char(const struct column_type *type)
{
    return type->base_oid == CHAR_OID ||
           (type->kind == TYPE_ARRAY && type->element && type->element->base_oid == CHAR_OID);
}

bool intake_has_raw_chars(const struct intake *in, const struct change_table *table)
{
    for (size_t i = 0; in->server_version < ESCAPED_FROM && i < table->columns_count; i++) {
        if (is_char(table->columns[i].type)) {
            return true;
        }
    }
    return false;
}

static struct slice escaped(struct intake *in, struct slice text, bool array)
{
    char *out = arena_bytes(in->scratch, text.len * ESCAPE_SIZE + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c < 0x80) {
            out[len++] = (char)c;
            continue;
        }
        int n = snprintf(out + len, ESCAPE_SIZE + 1, array ? "\"\\\\%03o\"" : "\\%03o", c);
        len += (size_t)n;
    }
    return (struct slice){out, len};
}

/* Is it a byte as PostgreSQL 14 sends it? If the database has another encoding than UTF-8, the
 * server has converted the byte into a whole character of several bytes, and it is valid already.
 */
static bool is_raw(struct slice text, bool array)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] >= 0x80) {
            return array || text.len == 1;
        }
    }
    return false;
}

void intake_escape_chars(struct intake *in, const struct change_table *table, struct cell *cells)
{
    for (size_t i = 0; cells && i < table->columns_count; i++) {
        const struct column_type *type = table->columns[i].type;
        bool array = type->base_oid != CHAR_OID;
        if (cells[i].kind == CELL_TEXT && is_char(type) && is_raw(cells[i].text, array)) {
            cells[i].text = escaped(in, cells[i].text, array);
        }
    }
}
