/* Which tables the configuration names, source.signal_table too: those of the publication that must
 * be there. A pattern
 * names none: it takes what the publication has. */
#include "cdc/preflight/internal.h"
#include "cdc/tables.h"

/* Entry i of the configuration; NULL behind the last one. */
static const char *entry(const struct cdc_conf *conf, size_t i)
{
    if (conf->as == CDC_AS_OUTBOX) {
        return i == 0 ? conf->table : NULL;
    }
    bool signals = i == conf->tables.count && conf->signal_table && conf->signal_table[0];
    return i < conf->tables.count ? conf->tables.items[i] : signals ? conf->signal_table : NULL;
}

size_t wanted_count(const struct cdc_conf *conf)
{
    const char *name;
    size_t n = 0;
    for (size_t i = 0; (name = entry(conf, i)) != NULL; i++) {
        n += !cdc_tables_pattern(name);
    }
    return n;
}

/* The wanted tables as an array's text: {"\"public\".\"a\"","\"public\".\"b\""}. */
int wanted_names(const struct cdc_conf *conf, struct buf *out, struct error *err)
{
    const char *name;
    buf_add_char(out, '{');
    for (size_t i = 0; (name = entry(conf, i)) != NULL; i++) {
        CLEANUP(buf_release) struct buf quoted = {0};
        if (cdc_tables_pattern(name)) {
            continue;
        }
        if (pg_quote_table(&quoted, name, err)) {
            return error_prefix(err, conf->as == CDC_AS_OUTBOX ? "source.table" : "source.tables");
        }
        pg_array_element(out, buf_slice(&quoted));
    }
    buf_add_char(out, '}');
    return RESULT_DONE;
}
