/* Says which types Debezium knows and how it encodes each. It leaves columns of other types out of
 * the row, and so do we. */
#include "message/debezium/debezium.h"

/* Type oids of PostgreSQL (pg_type.dat); these never change. */
enum {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_CHAR = 18,
    OID_NAME = 19,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT2VECTOR = 22,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_OID = 26,
    OID_OIDVECTOR = 30,
    OID_JSON = 114,
    OID_XML = 142,
    OID_POINT = 600,
    OID_CIDR = 650,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_MACADDR8 = 774,
    OID_MONEY = 790,
    OID_MACADDR = 829,
    OID_INET = 869,
    OID_BPCHAR = 1042,
    OID_VARCHAR = 1043,
    OID_DATE = 1082,
    OID_TIME = 1083,
    OID_TIMESTAMP = 1114,
    OID_TIMESTAMPTZ = 1184,
    OID_INTERVAL = 1186,
    OID_TIMETZ = 1266,
    OID_BIT = 1560,
    OID_VARBIT = 1562,
    OID_NUMERIC = 1700,
    OID_UUID = 2950,
    OID_JSONB = 3802,
    OID_INT4RANGE = 3904,
    OID_NUMRANGE = 3906,
    OID_TSRANGE = 3908,
    OID_TSTZRANGE = 3910,
    OID_DATERANGE = 3912,
    OID_INT8RANGE = 3926,
    FIRST_OWN_OID = 16384 /* FirstNormalObjectId: from here on types of extensions and users */
};

static enum dbz_kind built_in(uint32_t oid)
{
    switch (oid) {
    case OID_BOOL:
        return DBZ_BOOL;
    case OID_INT2:
    case OID_INT4:
    case OID_INT8:
    case OID_OID:
        return DBZ_INTEGER;
    case OID_FLOAT4:
        return DBZ_FLOAT4;
    case OID_FLOAT8:
        return DBZ_FLOAT8;
    case OID_NUMERIC:
        return DBZ_NUMERIC;
    case OID_MONEY:
        return DBZ_MONEY;
    case OID_CHAR:
    case OID_NAME:
    case OID_TEXT:
    case OID_BPCHAR:
    case OID_VARCHAR:
    case OID_JSON:
    case OID_JSONB:
    case OID_XML:
    case OID_UUID:
    case OID_CIDR:
    case OID_INET:
    case OID_MACADDR:
    case OID_MACADDR8:
    case OID_INT4RANGE:
    case OID_INT8RANGE:
    case OID_NUMRANGE:
    case OID_TSRANGE:
    case OID_TSTZRANGE:
    case OID_DATERANGE:
        return DBZ_STRING;
    case OID_BYTEA:
        return DBZ_BYTES;
    case OID_BIT:
    case OID_VARBIT:
        return DBZ_BITS;
    case OID_DATE:
        return DBZ_DATE;
    case OID_TIME:
        return DBZ_TIME;
    case OID_TIMETZ:
        return DBZ_TIMETZ;
    case OID_TIMESTAMP:
        return DBZ_TIMESTAMP;
    case OID_TIMESTAMPTZ:
        return DBZ_TIMESTAMPTZ;
    case OID_INTERVAL:
        return DBZ_INTERVAL;
    case OID_POINT:
        return DBZ_POINT;
    case OID_INT2VECTOR:
    case OID_OIDVECTOR:
        return DBZ_NULL;
    default:
        return DBZ_OMIT;
    }
}

/* Types of extensions have another oid in each database, so they are known by name. */
static enum dbz_kind from_extension(const struct column_type *t)
{
    if (t->kind == TYPE_ENUM) {
        return DBZ_STRING;
    }
    if (slice_equal_str(t->base_name, "hstore")) {
        return DBZ_HSTORE;
    }
    static const char *const texts[] = {"ltree", "citext", "isbn"};
    for (size_t i = 0; t->kind == TYPE_BASE && i < sizeof texts / sizeof *texts; i++) {
        if (slice_equal_str(t->base_name, texts[i])) {
            return DBZ_STRING;
        }
    }
    return DBZ_OMIT;
}

static enum dbz_kind scalar(const struct column_type *t)
{
    return t->base_oid < FIRST_OWN_OID ? built_in(t->base_oid) : from_extension(t);
}

/* Arrays have rules of their own: Debezium knows some types alone but not in an array (money), and
 * for some it has an array that no value fits (bit). */
static enum dbz_kind array_kind(const struct column_type *element)
{
    enum dbz_kind one = scalar(element);
    if (element->oid != element->base_oid || element->kind == TYPE_ARRAY) {
        return DBZ_OMIT;
    }
    switch (element->oid) {
    case OID_MONEY:
    case OID_NAME:
    case OID_INTERVAL:
    case OID_VARBIT:
    case OID_XML:
    case OID_POINT:
        return DBZ_OMIT;
    case OID_BIT:
        return DBZ_NULL;
    default:
        return one == DBZ_OMIT || one == DBZ_NULL ? one : DBZ_ARRAY;
    }
}

struct dbz_type dbz_type_of(const struct column_type *type, int32_t typmod)
{
    bool domain = type->oid != type->base_oid;
    struct dbz_type t = {
        .typmod = domain ? type->base_typmod : typmod, .oid = type->base_oid, .type = type};
    switch (type->kind) {
    case TYPE_ARRAY:
        t.kind = type->element ? array_kind(type->element) : DBZ_OMIT;
        break;
    case TYPE_BASE:
    case TYPE_ENUM:
    case TYPE_RANGE:
        t.kind = scalar(type);
        break;
    case TYPE_COMPOSITE:
    case TYPE_MULTIRANGE:
    case TYPE_UNKNOWN:
    default:
        t.kind = DBZ_OMIT;
        break;
    }
    return t;
}

struct dbz_type dbz_element_of(const struct dbz_type *array)
{
    struct dbz_type t = dbz_type_of(array->type->element, array->typmod);
    t.element = true;
    return t;
}
