/* Masks columns of table changes. The change belongs to the source, so a masked one is a copy, with
 * a table of its own: a column that is masked as a text has the type text, and one that is dropped
 * is not there. So every format encodes it as it would encode such a table. */
#include "message/mask/internal.h"

static const struct column_type text_type = {.oid = 25,
                                             .base_oid = 25,
                                             .base_typmod = -1,
                                             .kind = TYPE_BASE,
                                             .schema = {"pg_catalog", 10},
                                             .name = {"text", 4},
                                             .base_name = {"text", 4}};

bool mask_names_table(const struct rule *r, const struct change_table *table)
{
    size_t n = r->steps_count;
    return slice_equal(r->steps[n - 2], table->name) &&
           (n == 2 || slice_equal(r->steps[0], table->schema));
}

bool mask_is_text(const struct change_column *column)
{
    enum { TEXT = 25, BPCHAR = 1042, VARCHAR = 1043 }; /* pg_type.dat; these never change */
    uint32_t oid = column->type->base_oid;
    return oid == TEXT || oid == BPCHAR || oid == VARCHAR;
}

/* The rule of each column, NULL for those without; NULL if the table has none. */
static const struct rule **rules_of(struct mask *m, const struct change_table *table,
                                    struct arena *arena)
{
    const struct rule **of = NULL;
    for (size_t i = 0; i < m->count; i++) {
        struct rule *r = &m->rules[i];
        for (size_t k = 0; mask_names_table(r, table) && k < table->columns_count; k++) {
            if (slice_equal(table->columns[k].name, mask_column_name(r))) {
                of = of ? of : arena_array(arena, table->columns_count, sizeof(struct rule *));
                of[k] = r;
                r->matched++;
            }
        }
    }
    return of;
}

/* No default: Debezium's format would send it in place of null. */
static struct change_column mask_column(struct change_column column, const struct rule *r)
{
    if (!r || r->how == MASK_TRUNCATE) { /* a default is not truncated by Debezium, either */
        return column;
    }
    column.default_text = SLICE_NULL;
    if (r->how == MASK_NULL) {
        column.not_null = false;
        return column;
    }
    column.type = &text_type;
    column.typmod = -1;
    return column;
}

/* A digest is not longer than what the column can hold. */
static struct slice fitting(const struct change_column *column, const struct rule *r,
                            struct slice text)
{
    bool hash = r->how == MASK_HASH || r->how == MASK_HASH_V2;
    if (hash && mask_is_text(column) && column->typmod > MASK_TYPMOD_HEAD) {
        size_t most = (size_t)(column->typmod - MASK_TYPMOD_HEAD);
        text.len = text.len < most ? text.len : most;
    }
    return text;
}

static struct cell mask_cell(struct cell cell, const struct change_column *column,
                             const struct rule *r, struct arena *arena)
{
    bool sent = cell.kind == CELL_TEXT;
    if (r && r->how == MASK_STARS) { /* whatever is there, a null and what is not known included */
        return (struct cell){CELL_TEXT, mask_text(r, SLICE_NULL, arena)};
    }
    if (r && r->how == MASK_NULL && cell.kind != CELL_ABSENT) {
        return (struct cell){.kind = CELL_NULL};
    }
    return r && sent ? (struct cell){CELL_TEXT, fitting(column, r, mask_text(r, cell.text, arena))}
                     : cell;
}

static bool is_dropped(const struct rule *r)
{
    return r && r->how == MASK_DROP;
}

static const struct cell *mask_row(const struct cell *row, const struct change_table *table,
                                   const struct rule *const *of, struct arena *arena)
{
    if (!row) {
        return NULL;
    }
    struct cell *cells = arena_array(arena, table->columns_count + 1, sizeof *cells);
    for (size_t i = 0, n = 0; i < table->columns_count; i++) {
        if (!is_dropped(of[i])) {
            cells[n++] = mask_cell(row[i], &table->columns[i], of[i], arena);
        }
    }
    return cells;
}

static const struct change_table *mask_table(const struct change_table *table,
                                             const struct rule *const *of, struct arena *arena)
{
    struct change_table *masked = arena_alloc(arena, sizeof *masked);
    struct change_column *columns = arena_array(arena, table->columns_count + 1, sizeof *columns);
    uint16_t *key = arena_array(arena, table->key_count + 1, sizeof *key);
    uint16_t *place = arena_array(arena, table->columns_count + 1, sizeof *place);
    *masked = *table;
    masked->columns = columns;
    masked->columns_count = 0;
    masked->key = key;
    masked->key_count = 0;
    for (size_t i = 0; i < table->columns_count; i++) {
        place[i] = (uint16_t)masked->columns_count;
        if (!is_dropped(of[i])) {
            columns[masked->columns_count++] = mask_column(table->columns[i], of[i]);
        }
    }
    for (size_t i = 0; i < table->key_count; i++) {
        if (!is_dropped(of[table->key[i]])) {
            key[masked->key_count++] = place[table->key[i]];
        }
    }
    return masked;
}

const struct change *mask_change(struct mask *m, const struct change *c, struct arena *arena)
{
    const struct rule **of = c->table ? rules_of(m, c->table, arena) : NULL;
    if (!of) {
        return c;
    }
    struct change *masked = arena_alloc(arena, sizeof *masked);
    *masked = *c;
    masked->table = mask_table(c->table, of, arena);
    masked->before = mask_row(c->before, c->table, of, arena);
    masked->after = mask_row(c->after, c->table, of, arena);
    masked->other_key = mask_row(c->other_key, c->table, of, arena);
    return masked;
}
