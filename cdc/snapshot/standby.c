/* Refuses to go on with a snapshot on a standby: CONFIG. As RETRY it would be tried again for ever.
 */
#include "cdc/snapshot/standby.h"

/* Nobody can write a watermark on a standby: every try would fail the same way. */
int snapshot_standby_judge(const struct snapshot_options *opt, struct pg *sql, struct error *err)
{
    struct pg_result *answer = NULL;
    if (pg_query(sql, "select 1 where pg_is_in_recovery()", 0, NULL, &answer, err)) {
        return RESULT_ERROR;
    }
    bool standby = pg_rows(answer) > 0;
    pg_result_free(answer);
    if (!standby) {
        return RESULT_DONE;
    }
    return error_set(
        err, ERROR_CONFIG, "cdc",
        "this server is a standby, where a snapshot that was interrupted%s cannot be read beside the stream (no watermark can be written): read from the primary (source.url); or let all tables be copied again in one go: set snapshot: initial and on_lost_slot: resnapshot, and SELECT pg_drop_replication_slot('%s') on the standby",
        cdc_conf_snapshot(opt->conf) == CDC_SNAPSHOT_ALWAYS ? " or is another (snapshot: always)"
                                                            : "",
        opt->slot);
}
