/* Which tables the configuration names: those of the publication that must be there. */
#include "cdc/preflight/internal.h"

size_t wanted_count(const struct cdc_conf *conf)
{
    return conf->as == CDC_AS_OUTBOX ? 1 : conf->tables.count;
}

static const char *wanted_name(const struct cdc_conf *conf, size_t i)
{
    return conf->as == CDC_AS_OUTBOX ? conf->table : conf->tables.items[i];
}

/* The wanted tables as an array's text: {"\"public\".\"a\"","\"public\".\"b\""}. */
int wanted_names(const struct cdc_conf *conf, struct buf *out, struct error *err)
{
    buf_add_char(out, '{');
    for (size_t i = 0; i < wanted_count(conf); i++) {
        CLEANUP(buf_release) struct buf quoted = {0};
        if (pg_quote_table(&quoted, wanted_name(conf, i), err)) {
            return error_prefix(err, conf->as == CDC_AS_OUTBOX ? "source.table" : "source.tables");
        }
        pg_array_element(out, buf_slice(&quoted));
    }
    buf_add_char(out, '}');
    return RESULT_DONE;
}
