/* Puts events together into statements. Two events of one key must not be in one statement, which
 * would meet the same row twice. */
#include "consume/apply/effects.h"

#include "consume/apply/debezium.h"

enum { RUN_MAX = 1000 };

/* Neighbours that one statement applies. */
struct run {
    const struct inbox_ops *ops;
    struct inbox *inbox;
    const struct target *target;
    enum record_op op;
    struct row_shape shape;
    struct buf rows; /* a JSON array, without its last bracket */
    uint64_t keys[RUN_MAX];
    size_t count;
};

static void run_release(struct run *r)
{
    buf_release(&r->rows);
}

static int change(struct run *r, const struct buf *sql, const char *old_rows, size_t *ret,
                  struct error *err)
{
    return r->ops->change(r->inbox, buf_str(sql), buf_str(&r->rows), old_rows, ret, err);
}

/* A row that lacks values is only updated. If it were inserted, the missing values would be wrong.
 */
static int flush(struct run *r, struct error *err)
{
    CLEANUP(buf_release) struct buf sql = {0};
    size_t changed = 0, wanted = r->count;
    if (r->count == 0) {
        return RESULT_DONE;
    }
    buf_add_char(&r->rows, ']');
    bool update = r->op == RECORD_UPSERT && r->shape.partial;
    if (r->op == RECORD_DELETE) {
        target_delete(r->target, &sql);
    } else if (update) {
        target_update(r->target, &r->shape, &sql);
    } else {
        target_upsert(r->target, &r->shape, &sql);
    }
    int rc = change(r, &sql, NULL, &changed, err);
    r->count = 0;
    buf_clear(&r->rows);
    if (rc == RESULT_DONE && update && changed != wanted) {
        return error_set(
            err, ERROR_POISON, "consume",
            "it changes a row that table %s has not, and lacks values that the source "
            "did not send (unchanged TOAST): take the rows that were there before from "
            "a snapshot, or set REPLICA IDENTITY FULL at the source",
            r->target->shown);
    }
    return rc;
}

static bool has_key(const struct run *r, uint64_t key)
{
    for (size_t i = 0; i < r->count; i++) {
        if (r->keys[i] == key) {
            return true;
        }
    }
    return false;
}

static int add(struct run *r, enum record_op op, struct slice row, const struct row_shape *shape,
               struct error *err)
{
    uint64_t key = target_key_hash(r->target, row);
    bool fits = r->op == op && r->count < RUN_MAX &&
                (op == RECORD_DELETE || shape_equal(&r->shape, shape)) && !has_key(r, key);
    if (!fits && flush(r, err)) {
        return RESULT_ERROR;
    }
    r->op = op;
    r->shape = *shape;
    r->keys[r->count] = key;
    buf_add_char(&r->rows, r->count++ ? ',' : '[');
    buf_add_slice(&r->rows, row);
    return RESULT_DONE;
}

/* The row of a key that changed. A row under the new key is deleted first, because it is no longer
 * there at the source. A row under the old key gets the new key, and keeps the values that the
 * event does not have. If there is none, the row is inserted. */
static int move(struct run *r, struct slice row, struct slice old_key,
                const struct row_shape *shape, struct error *err)
{
    CLEANUP(buf_release) struct buf clear = {0}, sql = {0}, old_rows = {0};
    size_t changed = 0;
    struct row_shape ignored;
    if (flush(r, err) || target_shape(r->target, old_key, &ignored, err)) {
        return RESULT_ERROR;
    }
    buf_printf(&r->rows, "[%.*s]", SLICE_FMT(row));
    buf_printf(&old_rows, "[%.*s]", SLICE_FMT(old_key));
    target_delete(r->target, &clear);
    target_move(r->target, shape, &sql);
    int rc = change(r, &clear, NULL, &changed, err);
    rc = rc ? rc : change(r, &sql, buf_str(&old_rows), &changed, err);
    buf_clear(&r->rows);
    if (rc || changed > 0) {
        return rc;
    }
    return add(r, RECORD_UPSERT, row, shape, err);
}

static int truncate(struct run *r, struct error *err)
{
    CLEANUP(buf_release) struct buf sql = {0};
    size_t ignored;
    if (flush(r, err)) {
        return RESULT_ERROR;
    }
    target_truncate(r->target, &sql);
    return r->ops->change(r->inbox, buf_str(&sql), NULL, NULL, &ignored, err);
}

static int apply_one(struct run *r, const struct record *record, struct error *err)
{
    CLEANUP(buf_release) struct buf made = {0}, turned = {0};
    struct row_shape shape;
    struct slice row = record->row;
    if (record->op == RECORD_NOTHING) {
        return RESULT_DONE;
    }
    if (record->op == RECORD_TRUNCATE) {
        return truncate(r, err);
    }
    /* The server sends only the identity of a deleted row. Debezium invents the other values of
     * `before`, and they need not even be values of their types. */
    if (record->op == RECORD_DELETE && r->target->debezium &&
        target_key_fits(r->target, record->key)) {
        row = SLICE_NULL;
    }
    if (slice_is_null(row)) {
        if (target_key_row(r->target, record, &made, err)) {
            return RESULT_ERROR;
        }
        row = buf_slice(&made);
    }
    if (r->target->debezium) {
        if (debezium_row(r->target, row, r->target->decimal_text, &turned, err)) {
            return RESULT_ERROR;
        }
        row = buf_slice(&turned);
    }
    if (target_shape(r->target, row, &shape, err)) {
        return RESULT_ERROR;
    }
    shape.partial = shape.partial || record->partial;
    return slice_is_null(record->old_key) ? add(r, record->op, row, &shape, err)
                                          : move(r, row, record->old_key, &shape, err);
}

int effects_apply(const struct inbox_ops *ops, struct inbox *inbox, struct record *const *records,
                  size_t n, struct error *err)
{
    CLEANUP(run_release) struct run r = {.ops = ops, .inbox = inbox, .target = ops->target(inbox)};
    for (size_t i = 0; i < n; i++) {
        if (apply_one(&r, records[i], err)) {
            return RESULT_ERROR;
        }
    }
    return flush(&r, err);
}
