/* Builds the description by which rows are read: columns from the Relation message, as they were
 * when the row was written; key order, defaults and nullability from the catalog, as they are now,
 * where that does not contradict the message. */
#include "cdc/decode/relation.h"

#include "base/memory.h"
#include <assert.h>
#include <stdlib.h>

enum { FIRST_BITS = 6 };

/* One description of a table, with all it points to in the same block. */
struct version {
    struct change_table table;
    void *user;
    void (*release)(void *user);
    struct version *next; /* list of the replaced versions */
    char data[];
};

/* A hash table by oid with open addressing, at most half full. Entries are never removed one by
 * one, so no tombstones are needed. */
struct relations {
    struct version **slots;
    unsigned bits; /* 1 << bits slots */
    size_t count;
    struct version *replaced;
};

static void version_free(struct version *v)
{
    if (v->release) {
        v->release(v->user);
    }
    free(v);
}

static size_t slots_count(const struct relations *r)
{
    return (size_t)1 << r->bits;
}

static void slots_alloc(struct relations *r, unsigned bits)
{
    r->bits = bits;
    r->slots = memory_need(calloc(slots_count(r), sizeof(struct version *)));
}

struct relations *relations_new(void)
{
    struct relations *r = memory_need(calloc(1, sizeof *r));
    slots_alloc(r, FIRST_BITS);
    return r;
}

void relations_free(struct relations *r)
{
    if (r) {
        relations_clear(r);
        relations_sweep(r);
        free(r->slots);
        free(r);
    }
}

static void replace(struct relations *r, struct version *v)
{
    v->next = r->replaced;
    r->replaced = v;
}

void relations_clear(struct relations *r)
{
    for (size_t i = 0; i < slots_count(r); i++) {
        if (r->slots[i]) {
            replace(r, r->slots[i]);
            r->slots[i] = NULL;
        }
    }
    r->count = 0;
}

void relations_sweep(struct relations *r)
{
    for (struct version *v = r->replaced, *next; v; v = next) {
        next = v->next;
        version_free(v);
    }
    r->replaced = NULL;
}

/* The table's slot, or the empty slot where it would go. */
static struct version **find(const struct relations *r, uint32_t oid)
{
    size_t i = (oid * UINT32_C(0x9E3779B1)) >> (32 - r->bits); /* Knuth's multiplicative hash */
    while (r->slots[i] && r->slots[i]->table.oid != oid) {
        i = (i + 1) & (slots_count(r) - 1);
    }
    return &r->slots[i];
}

static void grow(struct relations *r)
{
    struct relations larger;
    slots_alloc(&larger, r->bits + 1);
    for (size_t i = 0; i < slots_count(r); i++) {
        if (r->slots[i]) {
            *find(&larger, r->slots[i]->table.oid) = r->slots[i];
        }
    }
    free(r->slots);
    r->slots = larger.slots;
    r->bits = larger.bits;
}

/* The catalog's column of that name, unless it has another type by now. */
static const struct catalog_column *catalog_match(const struct catalog_table *t,
                                                  const struct pgoutput_column *c)
{
    for (size_t i = 0; t && i < t->columns_count; i++) {
        if (slice_equal(t->columns[i].name, c->name)) {
            return t->columns[i].type == c->type ? &t->columns[i] : NULL;
        }
    }
    return NULL;
}

/* Fills `key` with the indexes of the catalog's key columns, in the key's order. False if one of
 * them is not in the Relation message, or if the message flags another number of columns: then the
 * catalog has a key that was made later, and does not fit these rows. */
static bool catalog_key(const struct catalog_table *t, const struct pgoutput_message *m,
                        size_t flagged, uint16_t *key)
{
    if (!t || t->key_count == 0 || t->key_count > m->relation.columns_count ||
        (flagged > 0 && t->key_count != flagged)) {
        return false;
    }
    for (size_t k = 0; k < t->key_count; k++) {
        size_t i = 0;
        while (i < m->relation.columns_count &&
               !slice_equal(m->relation.columns[i].name, t->key[k])) {
            i++;
        }
        if (i == m->relation.columns_count || (flagged > 0 && !m->relation.columns[i].identity)) {
            return false;
        }
        key[k] = (uint16_t)i;
    }
    return true;
}

/* Fills `key` (it has room for every column) and returns how many columns the key has. With
 * REPLICA IDENTITY FULL the message flags every column, which says nothing about the key. */
static size_t choose_key(const struct catalog_table *t, const struct pgoutput_message *m,
                         uint16_t *key)
{
    bool flags = m->relation.identity != IDENTITY_FULL;
    size_t flagged = 0;
    for (size_t i = 0; flags && i < m->relation.columns_count; i++) {
        flagged += m->relation.columns[i].identity;
    }
    if (catalog_key(t, m, flagged, key)) {
        return t->key_count;
    }
    size_t n = 0;
    for (size_t i = 0; flagged > 0 && i < m->relation.columns_count; i++) {
        if (m->relation.columns[i].identity) {
            key[n++] = (uint16_t)i;
        }
    }
    return n;
}

static struct slice keep(char **at, struct slice text)
{
    if (slice_is_null(text)) {
        return text;
    }
    struct slice kept = {*at, text.len};
    memcpy(*at, text.ptr, text.len);
    *at += text.len;
    return kept;
}

static size_t text_size(const struct catalog_table *t, const struct pgoutput_message *m)
{
    size_t size = m->relation.schema.len + m->relation.name.len;
    for (size_t i = 0; i < m->relation.columns_count; i++) {
        const struct catalog_column *known = catalog_match(t, &m->relation.columns[i]);
        size += m->relation.columns[i].name.len + (known ? known->default_text.len : 0);
    }
    return size;
}

static struct version *version_new(struct catalog *catalog, const struct pgoutput_message *m)
{
    const struct catalog_table *t = catalog_table(catalog, m->relation.oid);
    size_t count = m->relation.columns_count;
    size_t columns_size = count * sizeof(struct change_column), key_size = count * sizeof(uint16_t);
    struct version *v =
        memory_need(calloc(1, sizeof *v + columns_size + key_size + text_size(t, m)));
    struct change_column *columns = (struct change_column *)(void *)v->data;
    uint16_t *key = (uint16_t *)(void *)(v->data + columns_size);
    char *text = v->data + columns_size + key_size;
    for (size_t i = 0; i < count; i++) {
        const struct pgoutput_column *c = &m->relation.columns[i];
        const struct catalog_column *known = catalog_match(t, c);
        columns[i] = (struct change_column){
            .name = keep(&text, c->name),
            .typmod = c->typmod,
            .identity = c->identity,
            .not_null = known && known->not_null,
            .type = catalog_type(catalog, c->type),
            .default_text = known ? keep(&text, known->default_text) : SLICE_NULL,
        };
    }
    v->table = (struct change_table){
        .oid = m->relation.oid,
        .schema = keep(&text, m->relation.schema),
        .name = keep(&text, m->relation.name),
        .identity = m->relation.identity,
        .columns = columns,
        .columns_count = count,
        .key = key,
        .key_count = choose_key(t, m, key),
    };
    return v;
}

const struct change_table *relations_put(struct relations *r, struct catalog *catalog,
                                         const struct pgoutput_message *relation)
{
    assert(relation->type == PGOUTPUT_RELATION && catalog_has(catalog, relation));
    struct version *v = version_new(catalog, relation);
    struct version **slot = find(r, relation->relation.oid);
    if (*slot) {
        replace(r, *slot);
    } else {
        if ((r->count + 1) * 2 > slots_count(r)) {
            grow(r);
            slot = find(r, relation->relation.oid);
        }
        r->count++;
    }
    *slot = v;
    return &v->table;
}

const struct change_table *relations_get(const struct relations *r, uint32_t oid)
{
    const struct version *v = *find(r, oid);
    return v ? &v->table : NULL;
}

void *relations_user(const struct relations *r, uint32_t oid)
{
    const struct version *v = *find(r, oid);
    return v ? v->user : NULL;
}

void relations_set_user(struct relations *r, uint32_t oid, void *user, void (*release)(void *user))
{
    struct version *v = *find(r, oid);
    assert(v);
    if (v->release) {
        v->release(v->user);
    }
    v->user = user;
    v->release = release;
}
