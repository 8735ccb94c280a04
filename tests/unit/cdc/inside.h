/* Does everything that a decoded message points to lie where it may? For damaged bytes that are
 * still understood; used by the unit tests and the fuzzer. */
#pragma once

#include "cdc/decode/pgoutput.h"

static inline bool slice_inside(struct slice s, struct slice bytes)
{
    return s.ptr && s.ptr >= bytes.ptr && s.len <= bytes.len &&
           (size_t)(s.ptr - bytes.ptr) <= bytes.len - s.len;
}

/* The schema may be our own word for "". */
static inline bool schema_inside(struct slice s, struct slice bytes)
{
    return slice_inside(s, bytes) || slice_equal_str(s, "pg_catalog");
}

static inline bool tuple_inside(const struct pgoutput_tuple *t, struct slice bytes)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct cell *c = &t->cells[i];
        bool ok = c->kind == CELL_TEXT ? slice_inside(c->text, bytes)
                                       : c->kind == CELL_NULL || c->kind == CELL_UNCHANGED;
        if (!ok) {
            return false;
        }
    }
    return t->count <= bytes.len;
}

static inline bool relation_inside(const struct pgoutput_message *m, struct slice bytes)
{
    bool ok = schema_inside(m->relation.schema, bytes) && slice_inside(m->relation.name, bytes);
    for (size_t i = 0; i < m->relation.columns_count; i++) {
        ok = ok && slice_inside(m->relation.columns[i].name, bytes);
    }
    return ok;
}

static inline bool message_inside(const struct pgoutput_message *m, struct slice bytes)
{
    switch (m->type) {
    case PGOUTPUT_ORIGIN:
        return slice_inside(m->origin.name, bytes);
    case PGOUTPUT_RELATION:
        return relation_inside(m, bytes);
    case PGOUTPUT_TYPE:
        return schema_inside(m->data_type.schema, bytes) && slice_inside(m->data_type.name, bytes);
    case PGOUTPUT_INSERT:
    case PGOUTPUT_UPDATE:
    case PGOUTPUT_DELETE:
        return tuple_inside(&m->row.before, bytes) && tuple_inside(&m->row.after, bytes) &&
               (m->row.after.cells != NULL) == (m->type != PGOUTPUT_DELETE) &&
               (m->row.before.cells == NULL || m->type != PGOUTPUT_INSERT);
    case PGOUTPUT_MESSAGE:
        return slice_inside(m->message.prefix, bytes) && slice_inside(m->message.content, bytes);
    case PGOUTPUT_TRUNCATE: {
        uint32_t any = 0; /* a sanitizer sees a count that is larger than the array */
        for (size_t i = 0; i < m->truncate.count; i++) {
            any |= m->truncate.relations[i];
        }
        return m->truncate.count * sizeof any <= bytes.len;
    }
    case PGOUTPUT_BEGIN:
    case PGOUTPUT_COMMIT:
    case PGOUTPUT_STREAM_START:
    case PGOUTPUT_STREAM_STOP:
    case PGOUTPUT_STREAM_COMMIT:
    case PGOUTPUT_STREAM_ABORT:
        return true;
    }
    return false;
}
