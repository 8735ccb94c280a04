/* Columns that stand beside the payload (encode.envelope): their values as JSON, as a change stream
 * gives them of the same row. */
#include "source/outbox_postgres/json.h"

#include "message/encode.h"

/* What the encoder has to know of the column. An array would need the type of its elements, so its
 * kind is not known here. */
static void describe(const struct outbox_pg_found *from, struct column_type *ret_type,
                     struct change_column *ret)
{
    struct slice name = slice_from(from->type);
    bool array = from->category == 'A';
    *ret_type = (struct column_type){.oid = from->oid,
                                     .base_oid = from->oid,
                                     .base_typmod = -1,
                                     .kind = array               ? TYPE_UNKNOWN
                                             : from->kind == 'b' ? TYPE_BASE
                                             : from->kind == 'e' ? TYPE_ENUM
                                             : from->kind == 'r' ? TYPE_RANGE
                                                                 : TYPE_UNKNOWN,
                                     .name = name,
                                     .base_name = name};
    *ret = (struct change_column){.name = slice_from(from->name),
                                  .typmod = from->typmod,
                                  .not_null = from->not_null,
                                  .type = ret_type,
                                  .default_text =
                                      from->fallback[0] ? slice_from(from->fallback) : SLICE_NULL};
}

bool outbox_pg_says_json(const struct outbox_pg_found *column, const struct source_env *env,
                         size_t i)
{
    struct column_type type;
    struct change_column described;
    if (!source_gives_json(env, i)) {
        return true;
    }
    describe(column, &type, &described);
    return encode_column_known(&described);
}

void outbox_pg_make_json(const struct outbox_pg_table *t, const struct source_env *env,
                         struct batch *batch, struct event *e)
{
    CLEANUP(buf_release) struct buf text = {0};
    struct column_type type;
    struct change_column column;
    if (env->json_count == 0) {
        return;
    }
    struct slice *values = arena_array(&batch->arena, env->columns_count, sizeof *values);
    memcpy(values, e->columns, env->columns_count * sizeof *values);
    e->columns = values;
    for (size_t i = env->columns_count - env->json_count; i < env->columns_count; i++) {
        bool null = slice_is_null(values[i]);
        struct cell cell = {null ? CELL_NULL : CELL_TEXT, values[i]};
        struct error err;
        describe(&t->further[i], &type, &column);
        buf_clear(&text);
        if (encode_column_value(env->encode, &column, &cell, &text, &err)) {
            values[i] = SLICE_NULL;
            e->poison = e->poison ? e->poison : arena_copy(&batch->arena, slice_from(err.text)).ptr;
        } else {
            values[i] = arena_copy(&batch->arena, buf_slice(&text));
        }
    }
}
