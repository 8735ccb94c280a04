/* Encodes a TOAST value that the server did not send, because the update did not touch it. Where
 * the column's JSON type can hold the placeholder, it does, as text, as bytes or in a form that a
 * consumer can compute from it. Elsewhere Debezium sends null. */
#include "message/debezium/debezium.h"

#include <openssl/evp.h>

static void add_text(struct dbz *d)
{
    (void)dbz_string(d->out, slice_from(d->conf->unavailable_placeholder));
}

/* base64 of the placeholder with `bytes`, else the placeholder itself. */
static void add_bytes(struct dbz *d)
{
    if (d->conf->binary == BINARY_BYTES) {
        dbz_base64(d->out, slice_from(d->conf->unavailable_placeholder));
    } else {
        add_text(d);
    }
}

/* An array of numbers holds the placeholder as the codes of its bytes. */
static void add_codes(struct dbz *d)
{
    for (const char *p = d->conf->unavailable_placeholder; *p; p++) {
        if (p != d->conf->unavailable_placeholder) {
            dbz_add_char(d->out, ',');
        }
        dbz_i64(d->out, (signed char)*p);
    }
}

/* Java's UUID.nameUUIDFromBytes of the placeholder: a version 3 UUID without a name space. False if
 * the crypto library refuses MD5 (as it does in FIPS mode). */
static bool add_uuid(struct dbz *d)
{
    unsigned char md[EVP_MAX_MD_SIZE];
    const char *p = d->conf->unavailable_placeholder;
    if (EVP_Digest(p, strlen(p), md, NULL, EVP_md5(), NULL) != 1) {
        return false;
    }
    md[6] = (unsigned char)((md[6] & 0x0f) | 0x30);
    md[8] = (unsigned char)((md[8] & 0x3f) | 0x80);
    dbz_add_char(d->out, '"');
    for (unsigned i = 0; i < 16; i++) {
        bool dash = i == 4 || i == 6 || i == 8 || i == 10;
        buf_printf(d->out, dash ? "-%02x" : "%02x", md[i]);
    }
    dbz_add_char(d->out, '"');
    return true;
}

/* A map with the placeholder as its only key and value; as a string with `hstore: json`. */
static void add_map(struct dbz *d)
{
    struct buf map = {0}, *out = d->out;
    d->out = &map;
    buf_add_char(&map, '{');
    add_text(d);
    buf_add_char(&map, ':');
    add_text(d);
    buf_add_char(&map, '}');
    d->out = out;
    if (d->conf->hstore == HSTORE_MAP) {
        buf_add_slice(out, buf_slice(&map));
    } else {
        (void)dbz_string(out, buf_slice(&map));
    }
    buf_release(&map);
}

static bool element_is(const struct dbz_type *t, const char *name)
{
    return slice_equal_str(t->type->element->base_name, name);
}

/* The element that stands for an unchanged array. False: no such array has one. */
static bool add_array(struct dbz *d, const struct dbz_type *t)
{
    static const char *const texts[] = {"text", "varchar", "bpchar", "json", "jsonb"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (element_is(t, texts[i])) {
            add_text(d);
            return true;
        }
    }
    bool numbered_days = d->conf->time != TIME_CONNECT && d->conf->time != TIME_ISOSTRING;
    if (element_is(t, "int4") || element_is(t, "int8") ||
        (element_is(t, "date") && numbered_days)) {
        add_codes(d);
        return true;
    }
    if (element_is(t, "bytea")) {
        add_bytes(d);
        return true;
    }
    return element_is(t, "uuid") && add_uuid(d);
}

enum dbz_said dbz_unavailable(struct dbz *d, const struct dbz_type *t)
{
    switch (t->kind) {
    case DBZ_STRING:
        add_text(d);
        return DBZ_SAID;
    case DBZ_NUMERIC:
        if (d->conf->decimal != DECIMAL_STRING) {
            return DBZ_NO_WORD;
        }
        add_text(d);
        return DBZ_SAID;
    case DBZ_BYTES:
        add_bytes(d);
        return DBZ_SAID;
    case DBZ_HSTORE:
        add_map(d);
        return DBZ_SAID;
    case DBZ_ARRAY:
        dbz_add_char(d->out, '[');
        if (t->type->oid != t->type->base_oid || !add_array(d, t)) {
            return DBZ_NO_WORD;
        }
        dbz_add_char(d->out, ']');
        return DBZ_SAID;
    default:
        return DBZ_NO_WORD;
    }
}
