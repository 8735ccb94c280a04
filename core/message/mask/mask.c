/* Compiles the rules of a mask, and applies them to events. */
#include "message/mask/internal.h"

#include "value/digest.h"

static int refuse(const char *field, const char *why, struct error *err)
{
    return error_set(err, ERROR_CONFIG, "config", "mask: `%s` %s", field, why);
}

/* Takes the path apart at its dots. */
static int split(struct mask *m, const char *field, struct rule *r, struct error *err)
{
    r->field = arena_copy(&m->memory, slice_from(field));
    for (const char *p = r->field.ptr;; p++) {
        size_t n = strcspn(p, ".");
        if (n == 0) {
            return refuse(field, "has an empty name between its dots; mend it", err);
        }
        if (memchr(p, '[', n) || memchr(p, '*', n)) {
            return refuse(
                field, "leads into an array, which is not in this version; name members of objects",
                err);
        }
        if (r->steps_count == MASK_DEPTH_MAX) {
            return refuse(field, "has too many names; at most 32", err);
        }
        r->steps[r->steps_count++] = (struct slice){p, n};
        p += n;
        if (!*p) {
            return RESULT_DONE;
        }
    }
}

static int check_path(const struct mask *m, const char *field, const struct rule *r,
                      struct error *err)
{
    if (m->changes) {
        return r->steps_count == 2 || r->steps_count == 3
                   ? RESULT_DONE
                   : refuse(
                         field,
                         "names no column; a source of table changes has `table.column` and `schema.table.column`",
                         err);
    }
    bool json = slice_equal_str(r->steps[0], "payload") || slice_equal_str(r->steps[0], "headers");
    return json && r->steps_count > 1
               ? RESULT_DONE
               : refuse(
                     field,
                     "names no member; outbox events have `payload.MEMBER` and `headers.MEMBER`, and nothing else of them is masked",
                     err);
}

/* Whether two rules would be about one value, or one about a part of the other's. */
static bool overlap(const struct mask *m, const struct rule *a, const struct rule *b)
{
    size_t n = a->steps_count < b->steps_count ? a->steps_count : b->steps_count;
    bool same = true;
    for (size_t i = 1; i <= n; i++) {
        /* Columns are compared from their end: a rule without a schema is about any schema. */
        size_t x = m->changes ? a->steps_count - i : i - 1;
        size_t y = m->changes ? b->steps_count - i : i - 1;
        same = same && slice_equal(a->steps[x], b->steps[y]);
    }
    return same;
}

static int add_rule(struct mask *m, const struct mask_rule *from, struct error *err)
{
    struct rule *r = &m->rules[m->count];
    r->how = from->how;
    r->key = arena_copy(&m->memory, from->key);
    r->length = from->length;
    r->algorithm =
        arena_copy(&m->memory, slice_from(from->algorithm ? from->algorithm : "SHA-256")).ptr;
    if (from->how >= MASK_STARS && !m->changes) {
        return refuse(from->field,
                      "is a member of an outbox event, and this mask is for columns of "
                      "table changes; take another one",
                      err);
    }
    if ((from->how == MASK_HASH || from->how == MASK_HASH_V2) && !digest_known(r->algorithm)) {
        return refuse(from->field, "has a digest that OpenSSL does not have here; take another one",
                      err);
    }
    if (split(m, from->field, r, err) || check_path(m, from->field, r, err)) {
        return RESULT_ERROR;
    }
    for (size_t i = 0; i < m->count; i++) {
        if (overlap(m, r, &m->rules[i])) {
            return error_set(err, ERROR_CONFIG, "config",
                             "mask: `%s` and `%s` are about the same value; remove one of them",
                             from->field, m->rules[i].field.ptr);
        }
    }
    m->count++;
    return RESULT_DONE;
}

int mask_new(const struct mask_rule *rules, size_t n, bool changes, struct mask **ret,
             struct error *err)
{
    struct arena memory;
    if (n == 0) {
        *ret = NULL;
        return RESULT_DONE;
    }
    if (n > MASK_RULES_MAX) {
        return error_set(err, ERROR_CONFIG, "config", "mask has %zu rules; at most %d", n,
                         MASK_RULES_MAX);
    }
    arena_init(&memory);
    struct mask *m = arena_array(&memory, 1, sizeof *m);
    m->memory = memory;
    m->changes = changes;
    for (size_t i = 0; i < n; i++) {
        if (add_rule(m, &rules[i], err)) {
            mask_free(m);
            return RESULT_ERROR;
        }
    }
    *ret = m;
    return RESULT_DONE;
}

void mask_free(struct mask *m)
{
    if (m) {
        struct arena memory = m->memory; /* a copy: the mask itself lies in this memory */
        arena_wipe(&memory);             /* keys lie there */
        arena_release(&memory);
    }
}

int mask_event(struct mask *m, struct event *e, struct arena *arena, struct error *err)
{
    if (!m) {
        return RESULT_DONE;
    }
    m->events++;
    if (e->change) {
        e->change = mask_change(m, e->change, arena);
        return RESULT_DONE;
    }
    if (m->changes) {
        return RESULT_DONE; /* a logical message in the shape of an event: no rule can name it */
    }
    if (mask_json(m, "payload", &e->payload, arena, err) ||
        mask_json(m, "headers", &e->headers, arena, err)) {
        e->payload = SLICE_NULL;
        e->headers = SLICE_NULL;
        e->partial = true;
        return RESULT_ERROR;
    }
    return RESULT_DONE;
}

const char *mask_unmatched(struct mask *m)
{
    for (size_t i = 0; m && m->events >= MASK_PATIENCE && i < m->count; i++) {
        struct rule *r = &m->rules[i];
        if (!r->warned) {
            r->warned = true; /* judged once, whatever comes later */
            if (r->matched == 0) {
                return r->field.ptr;
            }
        }
    }
    return NULL;
}

bool mask_covers(const struct mask *m, const char *column)
{
    for (size_t i = 0; m && i < m->count; i++) {
        const struct rule *r = &m->rules[i];
        if (slice_equal_str(m->changes ? mask_column_name(r) : r->steps[0], column)) {
            return true;
        }
    }
    return false;
}

bool mask_column_at(const struct mask *m, size_t i, struct mask_column *ret)
{
    if (!m || !m->changes || i >= m->count) {
        return false;
    }
    const struct rule *r = &m->rules[i];
    *ret = (struct mask_column){.field = r->field.ptr,
                                .schema = r->steps_count == 3 ? r->steps[0] : SLICE_NULL,
                                .table = r->steps[r->steps_count - 2],
                                .name = mask_column_name(r),
                                .fits_key = r->how == MASK_HMAC || r->how == MASK_SHA256,
                                .for_text = r->how == MASK_TRUNCATE};
    return true;
}

static int check_column(const struct mask_column *column, const struct change_table *table,
                        struct error *err)
{
    size_t i = 0;
    while (i < table->columns_count && !slice_equal(table->columns[i].name, column->name)) {
        i++;
    }
    if (i == table->columns_count) {
        return error_set(err, ERROR_CONFIG, "mask", MASK_NO_COLUMN_TEXT ": " MASK_NO_COLUMN_REMEDY,
                         column->field, SLICE_FMT(table->schema), SLICE_FMT(table->name));
    }
    if (column->for_text && !mask_is_text(&table->columns[i])) {
        return error_set(err, ERROR_CONFIG, "mask", MASK_NO_TEXT_TEXT ": " MASK_NO_TEXT_REMEDY,
                         column->field, SLICE_FMT(table->schema), SLICE_FMT(table->name));
    }
    for (size_t k = 0; !column->fits_key && k < table->key_count; k++) {
        if (table->key[k] == i) {
            return error_set(err, ERROR_CONFIG, "mask", MASK_KEY_TEXT ": " MASK_KEY_REMEDY,
                             column->field, SLICE_FMT(table->schema), SLICE_FMT(table->name));
        }
    }
    return RESULT_DONE;
}

int mask_check_table(const struct mask *m, const struct change_table *table, struct error *err)
{
    struct mask_column column;
    for (size_t i = 0; mask_column_at(m, i, &column); i++) {
        if (mask_names_table(&m->rules[i], table) && check_column(&column, table, err)) {
            return RESULT_ERROR;
        }
    }
    return RESULT_DONE;
}
