/* A replication message, inside a stream block or not, is decoded whole and within its bytes or
 * refused; a byte more or less of a good one is refused; memory stays in proportion. */
#include "../unit/cdc/inside.h"

#include "cdc/decode/relation.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The relations' catalog: it knows one table, whose key is named as the last of its columns. */
struct catalog {
    struct catalog_table table;
};

bool catalog_has(const struct catalog *c, const struct pgoutput_message *relation)
{
    return c && relation;
}

const struct catalog_table *catalog_table(const struct catalog *c, uint32_t oid)
{
    return oid % 2 ? &c->table : NULL;
}

const struct column_type *catalog_type(struct catalog *c, uint32_t oid)
{
    static const struct column_type unknown = {.kind = TYPE_UNKNOWN};
    return c || oid ? &unknown : NULL;
}

static void must(bool ok)
{
    if (!ok) {
        abort();
    }
}

static bool decode(struct slice bytes, bool in_stream, struct arena *arena,
                   struct pgoutput_message *ret)
{
    struct error err;
    struct pgoutput_message m = {.xid = 4711};
    if (pgoutput_decode(bytes, in_stream, arena, &m, &err) == RESULT_DONE) {
        *ret = m;
        return true;
    }
    must(m.xid == 4711 && err.class == ERROR_RETRY && err.text[0]);
    return false;
}

static void put_relation(const struct pgoutput_message *m)
{
    size_t n = m->relation.columns_count;
    struct slice key = n ? m->relation.columns[n - 1].name : SLICE_NULL;
    struct catalog_column column = {
        .name = key, .type = n ? m->relation.columns[n - 1].type : 0, .default_text = key};
    struct catalog c = {
        .table = {.columns = &column, .columns_count = 1, .key = &key, .key_count = 1}};
    struct relations *r = relations_new();
    const struct change_table *first = relations_put(r, &c, m);
    const struct change_table *t = relations_put(r, &c, m);
    must(first->columns_count == n && relations_get(r, m->relation.oid) == t);
    must(slice_equal(t->name, m->relation.name) && t->columns_count == n && t->key_count <= n);
    for (size_t i = 0; i < n; i++) {
        must(slice_equal(t->columns[i].name, m->relation.columns[i].name));
    }
    for (size_t i = 0; i < t->key_count; i++) {
        must(t->key[i] < n);
    }
    relations_free(r);
}

/* `longer` holds the message and one byte more. */
static void check(struct slice bytes, const char *longer, bool in_stream, struct arena *arena)
{
    struct pgoutput_message m, other;
    uint32_t relation = pgoutput_peek_relation(bytes, in_stream);
    bool good = decode(bytes, in_stream, arena, &m);
    must(arena->total <= bytes.len * sizeof(struct cell) + 64);
    if (!good) {
        return;
    }
    bool row = m.type == PGOUTPUT_INSERT || m.type == PGOUTPUT_UPDATE || m.type == PGOUTPUT_DELETE;
    must(message_inside(&m, bytes));
    must(relation == (row ? m.row.relation : 0));
    must(!decode((struct slice){longer, bytes.len + 1}, in_stream, arena, &other));
    must(!decode((struct slice){bytes.ptr, bytes.len - 1}, in_stream, arena, &other));
    if (m.type == PGOUTPUT_RELATION) {
        put_relation(&m);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    char *longer = malloc(size + 1);
    must(longer != NULL);
    memcpy(longer, data, size);
    longer[size] = 'n';
    for (int in_stream = 0; in_stream < 2; in_stream++) {
        arena_init(&arena);
        check((struct slice){(const char *)data, size}, longer, in_stream, &arena);
        arena_release(&arena);
    }
    free(longer);
    return 0;
}
