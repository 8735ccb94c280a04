/* The connections of the source, and the settings of their sessions. */
#include "source/outbox_postgres/internal.h"

int outbox_pg_connect(const struct outbox_pg *s, int64_t most_us, struct pg **ret,
                      struct error *err)
{
    int64_t connect_us = s->conf->connect_timeout_us, read_us = s->conf->read_timeout_us;
    const struct pg_options options = {.url = s->conf->url,
                                       .pipeline = s->env->pipeline,
                                       .connect_timeout_us =
                                           connect_us < most_us ? connect_us : most_us,
                                       .read_timeout_us = read_us < most_us ? read_us : most_us,
                                       .stop_fd = s->env->stop_fd};
    return pg_connect(&options, ret, err);
}

/* The reader must find a page through an index, whatever the planner's statistics say. They know
 * nothing about snapshots, and a plan that sorts the whole table is only fast while the table is
 * small. With page costs of 0 the index that leaves the fewest rows wins, even if those rows are
 * new and not yet vacuumed. */
static const char reader_settings[] =
    "set enable_seqscan = off; set enable_bitmapscan = off; set enable_hashjoin = off;"
    " set enable_mergejoin = off; set seq_page_cost = 0; set random_page_cost = 0; set jit = off; "
    "set max_parallel_workers_per_gather = 0;"
    " set plan_cache_mode = force_generic_plan; set default_transaction_read_only = on";

/* Triggers of the application run in the session that marks rows, so it uses the role's own
 * search_path. */
static const char mark_settings[] =
    "set enable_seqscan = off; set jit = off; set lock_timeout = '5s'; reset search_path;"
    " set default_transaction_read_only = off";

static int connect_with(const struct outbox_pg *s, const char *settings, struct pg **ret,
                        struct error *err)
{
    struct pg *c = NULL;
    int rc = outbox_pg_connect(s, INT64_MAX, &c, err);
    rc = rc ? rc : pg_query(c, settings, 0, NULL, NULL, err);
    if (rc) {
        pg_close(c);
        return rc;
    }
    *ret = c;
    return RESULT_DONE;
}

int outbox_pg_connect_reader(const struct outbox_pg *s, struct pg **ret, struct error *err)
{
    return connect_with(s, reader_settings, ret, err);
}

int outbox_pg_connect_mark(const struct outbox_pg *s, struct pg **ret, struct error *err)
{
    return connect_with(s, mark_settings, ret, err);
}
