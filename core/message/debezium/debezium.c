/* The format `debezium`: makes the key, the value and the headers that Debezium 3.0.8 would send
 * for a change, byte for byte. docs/DEBEZIUM.md lists what differs on purpose. */
#include "message/debezium/debezium.h"

static void release(struct dbz *d)
{
    dbz_scratch_release(&d->scratch);
}

/* On an error of this or the next function `out` is as it was. */
static int debezium_key(const struct encode_conf *conf, const struct change *c,
                        const struct cell *cells, struct buf *out, struct error *err)
{
    CLEANUP(release) struct dbz d = {.conf = conf, .out = out};
    size_t start = out->len;
    int rc = dbz_key(&d, c, cells, err);
    if (rc) {
        buf_truncate(out, start);
    }
    return rc;
}

static int debezium_value(const struct encode_conf *conf, const struct change *c, struct buf *out,
                          struct error *err)
{
    CLEANUP(release) struct dbz d = {.conf = conf, .out = out};
    size_t start = out->len;
    bool bare = conf->unwrap.on && c->op != CHANGE_MESSAGE;
    int rc = bare ? dbz_unwrap(&d, c, err) : dbz_envelope(&d, c, err);
    if (rc) {
        buf_truncate(out, start);
    }
    return rc;
}

static void shape(const struct encode_conf *conf, struct change_shape *ret)
{
    ret->tombstones = conf->tombstones;
    ret->split_key_change = true;
    ret->messages = true;
    ret->plain_money = true;
    ret->placeholder = true;
    if (conf->unwrap.on) {
        dbz_unwrap_shape(conf, ret);
    }
}

/* An update that changes the key becomes a delete and a create. Each names the key of the other one
 * in a header, so that a consumer can tell that the row was not really deleted. */
static int add_other_key(const struct encode_conf *conf, const struct change *c, struct buf *out,
                         char *separator, struct error *err)
{
    size_t start = out->len;
    buf_printf(out, "%c\"__debezium.%skey\":", *separator, c->op == CHANGE_CREATE ? "old" : "new");
    size_t key = out->len;
    if (debezium_key(conf, c, c->other_key, out, err) < 0) {
        return RESULT_ERROR;
    }
    if (out->len == key) {
        buf_truncate(out, start);
    } else {
        *separator = ',';
    }
    return RESULT_DONE;
}

static int change_headers(const struct encode_conf *conf, const struct change *c, struct buf *out,
                          struct error *err)
{
    char separator = '{';
    if ((c->other_key && add_other_key(conf, c, out, &separator, err)) ||
        (conf->unwrap.on && dbz_unwrap_headers(conf, c, out, &separator, err))) {
        return RESULT_ERROR;
    }
    if (separator != '{') {
        dbz_add_char(out, '}');
    }
    return RESULT_DONE;
}

static const char *const keys[] = {FORMAT_CHANGE_KEYS, "tombstones", "decimal", "time", "binary",
                                   "interval",         "hstore",     "unwrap",  NULL};

const struct format_ops format_debezium = {.can = FORMAT_CHANGES,
                                           .keys = keys,
                                           .check = dbz_unwrap_check,
                                           .shape = shape,
                                           .change_key = debezium_key,
                                           .change_value = debezium_value,
                                           .change_headers = change_headers};
