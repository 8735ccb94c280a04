/* Makes the statements of `into`. The rows come as one JSON parameter, and the database makes
 * values of the columns' types from it: PostgreSQL by jsonb_populate_recordset, SQLite by its
 * columns' affinity. */
#include "consume/apply/target.h"

#include "value/json.h"

static void add_name(struct buf *out, const char *name)
{
    buf_add_char(out, '"');
    for (; *name; name++) {
        if (*name == '"') {
            buf_add_char(out, '"');
        }
        buf_add_char(out, *name);
    }
    buf_add_char(out, '"');
}

/* SQLite: the path of a member, as a text of SQL. */
static void add_path(struct buf *out, const char *name)
{
    buf_add_str(out, "'$.\"");
    for (; *name; name++) {
        char letter = json_escape_letter((unsigned char)*name);
        if (*name == '\'') {
            buf_add_char(out, '\'');
        }
        if (letter && letter != 'u') {
            buf_add_char(out, '\\');
            buf_add_char(out, letter);
        } else {
            buf_add_char(out, *name);
        }
    }
    buf_add_str(out, "\"'");
}

/* The value of a column in the row `from`. A number of SQLite is taken by its digits if it has a
 * fraction, so that a column of texts keeps them all; what is no plain value stays JSON. */
static void add_value(const struct target *t, const char *from, const char *name, struct buf *out)
{
    if (!t->sqlite) {
        buf_printf(out, "%s.", from);
        add_name(out, name);
        return;
    }
    CLEANUP(buf_release) struct buf path = {0};
    add_path(&path, name);
    const char *p = buf_str(&path);
    buf_printf(out,
               "case json_type(%s.value, %s) when 'real' then %s.value -> %s else %s.value ->> %s "
               "end",
               from, p, from, p, from, p);
}

/* The rows of a parameter, under the name `as`. */
static void add_rows(const struct target *t, int parameter, const char *as, struct buf *out)
{
    if (t->sqlite) {
        buf_printf(out, "json_each(?%d) %s", parameter, as);
    } else {
        buf_printf(out, "pg_catalog.jsonb_populate_recordset(null::%s, $%d::jsonb) %s",
                   buf_str(&t->name), parameter, as);
    }
}

/* "a = b and c = d" over the columns of the key. */
static void add_same_key(const struct target *t, const char *from, struct buf *out)
{
    bool first = true;
    for (size_t i = 0; i < t->count; i++) {
        if (t->columns[i].key) {
            buf_add_str(out, first ? "t." : " and t.");
            add_name(out, t->columns[i].name);
            buf_add_str(out, " = ");
            add_value(t, from, t->columns[i].name, out);
            first = false;
        }
    }
}

static bool sets_one(const struct target *t, const struct row_shape *s, size_t i, bool keys)
{
    return shape_has(s, i) && (keys || !t->columns[i].key);
}

static bool sets_any(const struct target *t, const struct row_shape *s)
{
    for (size_t i = 0; i < t->count; i++) {
        if (sets_one(t, s, i, false)) {
            return true;
        }
    }
    return false;
}

void target_upsert(const struct target *t, const struct row_shape *s, struct buf *out)
{
    const char *comma = "";
    buf_printf(out, "insert into %s (", buf_str(&t->name));
    for (size_t i = 0; i < t->count; i++) {
        if (shape_has(s, i)) {
            buf_add_str(out, comma);
            add_name(out, t->columns[i].name);
            comma = ", ";
        }
    }
    buf_add_str(out, t->sqlite ? ") select " : ") overriding system value select ");
    comma = "";
    for (size_t i = 0; i < t->count; i++) {
        if (shape_has(s, i)) {
            buf_add_str(out, comma);
            add_value(t, "r", t->columns[i].name, out);
            comma = ", ";
        }
    }
    buf_add_str(out, " from ");
    add_rows(t, 1, "r", out);
    buf_add_str(out, " where true on conflict (");
    comma = "";
    for (size_t i = 0; i < t->count; i++) {
        if (t->columns[i].key) {
            buf_add_str(out, comma);
            add_name(out, t->columns[i].name);
            comma = ", ";
        }
    }
    buf_add_str(out, sets_any(t, s) ? ") do update set " : ") do nothing");
    comma = "";
    for (size_t i = 0; i < t->count; i++) {
        if (sets_one(t, s, i, false)) {
            buf_add_str(out, comma);
            add_name(out, t->columns[i].name);
            buf_add_str(out, " = excluded.");
            add_name(out, t->columns[i].name);
            comma = ", ";
        }
    }
}

static void add_update(const struct target *t, const struct row_shape *s, bool keys,
                       struct buf *out)
{
    const char *comma = "";
    buf_printf(out, "update %s as t set ", buf_str(&t->name));
    for (size_t i = 0; i < t->count; i++) {
        if (sets_one(t, s, i, keys)) {
            buf_add_str(out, comma);
            add_name(out, t->columns[i].name);
            buf_add_str(out, " = ");
            add_value(t, "r", t->columns[i].name, out);
            comma = ", ";
        }
    }
    buf_add_str(out, " from ");
    add_rows(t, 1, "r", out);
}

/* A row with nothing but its key is "updated" too, so that a row that is not there shows. */
void target_update(const struct target *t, const struct row_shape *s, struct buf *out)
{
    add_update(t, s, !sets_any(t, s), out);
    buf_add_str(out, " where ");
    add_same_key(t, "r", out);
}

void target_delete(const struct target *t, struct buf *out)
{
    if (!t->sqlite) {
        buf_printf(out, "delete from %s as t using ", buf_str(&t->name));
        add_rows(t, 1, "r", out);
        buf_add_str(out, " where ");
        add_same_key(t, "r", out);
        return;
    }
    buf_printf(out, "delete from %s as t where exists (select 1 from ", buf_str(&t->name));
    add_rows(t, 1, "r", out);
    buf_add_str(out, " where ");
    add_same_key(t, "r", out);
    buf_add_char(out, ')');
}

void target_move(const struct target *t, const struct row_shape *s, struct buf *out)
{
    add_update(t, s, true, out);
    buf_add_str(out, ", ");
    add_rows(t, 2, "o", out);
    buf_add_str(out, " where ");
    add_same_key(t, "o", out);
}

void target_truncate(const struct target *t, struct buf *out)
{
    buf_printf(out, t->sqlite ? "delete from %s" : "truncate %s", buf_str(&t->name));
}
