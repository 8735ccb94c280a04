/* Compares tables and copies them, down to the elements of arrays. */
#include "message/schema/table.h"

static bool same_type(const struct column_type *a, const struct column_type *b)
{
    return a->oid == b->oid && a->base_oid == b->base_oid && a->base_typmod == b->base_typmod &&
           a->kind == b->kind && slice_equal(a->name, b->name) &&
           slice_equal(a->base_name, b->base_name) && slice_equal(a->labels, b->labels) &&
           !a->element == !b->element && (!a->element || same_type(a->element, b->element));
}

static bool same_column(const struct change_column *a, const struct change_column *b)
{
    return a->typmod == b->typmod && a->not_null == b->not_null && a->hidden == b->hidden &&
           slice_equal(a->name, b->name) &&
           slice_is_null(a->default_text) == slice_is_null(b->default_text) &&
           slice_equal(a->default_text, b->default_text) && same_type(a->type, b->type);
}

bool table_same(const struct change_table *a, const struct change_table *b)
{
    if (a->columns_count != b->columns_count || a->key_count != b->key_count ||
        !slice_equal(a->name, b->name) || !slice_equal(a->schema, b->schema) ||
        (a->key_count > 0 && memcmp(a->key, b->key, a->key_count * sizeof *a->key) != 0)) {
        return false;
    }
    for (size_t i = 0; i < a->columns_count; i++) {
        if (!same_column(&a->columns[i], &b->columns[i])) {
            return false;
        }
    }
    return true;
}

static const struct column_type *keep_type(struct arena *a, const struct column_type *from)
{
    struct column_type *type = arena_array(a, 1, sizeof *type);
    *type = *from;
    type->schema = arena_copy(a, from->schema);
    type->name = arena_copy(a, from->name);
    type->base_name = arena_copy(a, from->base_name);
    type->labels = arena_copy(a, from->labels);
    type->element = from->element ? keep_type(a, from->element) : NULL;
    return type;
}

void table_keep(struct arena *a, const struct change_table *from, struct change_table *ret)
{
    struct change_column *columns = arena_array(a, from->columns_count + 1, sizeof *columns);
    uint16_t *key = arena_array(a, from->key_count + 1, sizeof *key);
    *ret = *from;
    ret->schema = arena_copy(a, from->schema);
    ret->name = arena_copy(a, from->name);
    for (size_t i = 0; i < from->columns_count; i++) {
        columns[i] = from->columns[i];
        columns[i].name = arena_copy(a, from->columns[i].name);
        columns[i].default_text = arena_copy(a, from->columns[i].default_text);
        columns[i].type = keep_type(a, from->columns[i].type);
    }
    memcpy(key, from->key ? from->key : key, from->key_count * sizeof *key);
    ret->columns = columns;
    ret->key = key;
}
