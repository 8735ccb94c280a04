/* What all kinds of events share: which tables are wanted, and the position and id of an event.
 * Both are the same on every resend, so that a consumer can drop what comes twice. */
#include "cdc/intake/intake.h"

#include "base/memory.h"
#include "cdc/stream/lsn.h"
#include "message/column_rules.h"
#include "message/encode.h"
#include "message/mask/mask.h"
#include <stdlib.h>

int intake_open(struct intake *in, const struct cdc_conf *conf, const struct source_env *env,
                struct error *err)
{
    *in = (struct intake){.conf = conf, .env = env};
    return cdc_tables_open(&in->tables, conf, err);
}

void intake_counts_clear(struct intake_counts *c)
{
    for (size_t i = 0; i < c->count; i++) {
        free((char *)(uintptr_t)c->tables[i].name.ptr);
    }
    c->count = 0;
    c->total = 0;
}

void intake_close(struct intake *in)
{
    buf_release(&in->prefix);
    intake_counts_clear(&in->counts);
    free(in->counts.tables);
    cdc_tables_close(&in->tables);
    free(in->outbox_types);
}

/* --- what is kept for a table --- */

static int32_t further_of(const struct change_table *table, const char *name)
{
    static const char *const own[] = {"schema", "table", "op"};
    static const enum further_column which[] = {FURTHER_SCHEMA, FURTHER_TABLE, FURTHER_OP};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (strcmp(name, own[i]) == 0) {
            return which[i];
        }
    }
    for (size_t i = 0; i < table->columns_count; i++) {
        if (slice_equal_str(table->columns[i].name, name)) {
            return (int32_t)i;
        }
    }
    return FURTHER_NONE;
}

/* Refuses a table that the format cannot express as it is. */
static int check_columns(const struct intake *in, const struct change_table *table,
                         struct error *err)
{
    const struct change_shape *shape = &in->env->shape;
    bool odd_money = shape->plain_money && in->money_unit != MONEY_UNIT;
    for (size_t i = 0; i < table->columns_count; i++) {
        const struct change_column *c = &table->columns[i];
        if (!c->hidden && encode_name_is_ours(shape->own_prefix, c->name)) {
            return error_set(err, ERROR_CONFIG, "cdc", OWN_NAME_TEXT ": " OWN_NAME_REMEDY,
                             SLICE_FMT(table->schema), SLICE_FMT(table->name), SLICE_FMT(c->name),
                             shape->own_prefix);
        }
        if (odd_money && c->type->base_oid == MONEY_OID) {
            return error_set(err, ERROR_CONFIG, "cdc", MONEY_TEXT ": " MONEY_REMEDY,
                             SLICE_FMT(table->schema), SLICE_FMT(table->name), SLICE_FMT(c->name));
        }
    }
    return mask_check_table(shape->mask, table, err);
}

/* For estimating the memory of a change: most formats repeat each column's name with its value, and
 * the change is in memory twice, as it came and as it is sent. */
enum { EVENT_BYTES = 512, NAME_BYTES = 16 };

/* What is kept for a table whose changes are events. */
static int enter_changes(struct intake *in, const struct change_table *table,
                         struct intake_table *t, struct error *err)
{
    const struct change_shape *shape = &in->env->shape;
    if (column_rules_apply(shape->columns, table, !shape->skip[CHANGE_DELETE], &t->sent,
                           &t->sent_block, err) ||
        check_columns(in, t->sent, err)) {
        return RESULT_ERROR;
    }
    for (size_t i = 0; i < table->columns_count; i++) {
        t->bytes += table->columns[i].name.len + NAME_BYTES;
    }
    t->further = memory_need(calloc(in->env->columns_count + 1, sizeof *t->further));
    for (size_t i = 0; i < in->env->columns_count; i++) {
        t->further[i] = further_of(table, in->env->columns[i]);
    }
    return RESULT_DONE;
}

int intake_table_new(struct intake *in, const struct change_table *table, struct intake_table **ret,
                     struct error *err)
{
    struct intake_table *t = memory_need(calloc(1, sizeof *t));
    t->sent = table;
    t->raw_chars = intake_has_raw_chars(in, table);
    t->signal = cdc_tables_signal(&in->tables, table->schema, table->name);
    t->bytes = EVENT_BYTES;
    bool changes = in->conf->as == CDC_AS_CHANGES;
    if (cdc_tables_want(&in->tables, table->schema, table->name, &t->wanted, err) ||
        (t->wanted && changes && enter_changes(in, table, t, err))) {
        intake_table_free(t);
        return RESULT_ERROR;
    }
    if (t->wanted && !changes) {
        t->map = outbox_map_new(in, table);
    }
    *ret = t;
    return RESULT_DONE;
}

void intake_table_free(void *table)
{
    struct intake_table *t = table;
    if (t) {
        outbox_map_free(t->map);
        free(t->further);
        free(t->sent_block);
        free(t);
    }
}

/* --- position and id --- */

static void set_prefix(struct intake *in)
{
    if (in->prefix.len > 0 && in->prefix_commit == in->txn->commit) {
        return;
    }
    buf_clear(&in->prefix);
    buf_add_u64(&in->prefix, in->system_id);
    buf_add_char(&in->prefix, ':');
    in->prefix_id = in->prefix.len;
    lsn_add(&in->prefix, in->txn->commit);
    buf_add_char(&in->prefix, ':');
    in->prefix_commit = in->txn->commit;
}

void intake_place(struct intake *in, struct batch *batch, struct event *e, uint32_t part, bool last)
{
    struct mark *m = arena_alloc(&batch->arena, sizeof *m);
    *m = (struct mark){.start = in->txn->start,
                       .last = in->txn->last_end,
                       .behind = txn_place_behind(in->txn, part, last),
                       .snapshot = in->snapshot};
    e->origin = m;
    set_prefix(in);
    size_t keep = in->prefix.len;
    buf_add_u64(&in->prefix, in->txn->ordinal);
    if (part > 0) {
        buf_add_char(&in->prefix, '.');
        buf_add_u64(&in->prefix, part);
    }
    /* The id is "<system id>:<commit LSN>:<ordinal>[.<part>]"; the position is the same without the
     * system id. */
    struct slice id = buf_slice(&in->prefix);
    char *copy = arena_bytes(&batch->arena, id.len + 1);
    memcpy(copy, id.ptr, id.len + 1);
    e->position = (struct slice){copy + in->prefix_id, id.len - in->prefix_id};
    if (slice_is_null(e->id)) {
        e->id = (struct slice){copy, id.len};
    }
    in->prefix.len = keep;
}

/* --- events of no table --- */

struct event *intake_add_apart(struct intake *in, const struct change *c, size_t bytes,
                               struct batch *batch)
{
    struct event *e = batch_add(batch);
    e->change = c;
    e->created_at_us = c->commit_us;
    e->bytes = bytes;
    batch->bytes += bytes;
    if (in->env->columns_count > 0) {
        struct slice *columns = arena_array(&batch->arena, in->env->columns_count, sizeof *columns);
        for (size_t i = 0; i < in->env->columns_count; i++) {
            bool op = c->op == CHANGE_MESSAGE && strcmp(in->env->columns[i], "op") == 0;
            columns[i] = op ? SLICE_LITERAL("m") : SLICE_NULL;
        }
        e->columns = columns;
    }
    return e;
}
