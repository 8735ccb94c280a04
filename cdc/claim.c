/* What keepalives claim, and whether the server's WAL bears it out. */
#include "cdc/internal.h"

#include "cdc/stream/lsn.h"

/* A keepalive claims that everything before `lsn` was sent. The claim moves the cursor only if the
 * server's WAL reaches that far, as the side connection tells: after one flipped bit all that is
 * written up to there would be skipped. While one claim is checked, the newest other one waits. */
void cdc_claim_idle(struct cdc_source *s, uint64_t lsn)
{
    if (lsn <= s->side.state.current) {
        txn_idle_at(&s->txn, lsn);
    } else if (s->claim_state != 0) {
        s->claim_next = lsn;
    } else {
        s->claim_lsn = lsn;
        s->claim_state = side_want_state(&s->side);
    }
}

int cdc_judge_claim(struct cdc_source *s, struct error *err)
{
    char claimed[LSN_TEXT_SIZE], known[LSN_TEXT_SIZE];
    if (s->claim_state == 0 || s->side.told_n < s->claim_state) {
        return RESULT_DONE;
    }
    s->claim_state = 0;
    if (s->claim_lsn <= s->side.state.current) {
        uint64_t next = s->claim_next;
        txn_idle_at(&s->txn, s->claim_lsn);
        s->claim_next = 0;
        if (next > s->claim_lsn) {
            cdc_claim_idle(s, next);
        }
        return RESULT_DONE;
    }
    lsn_format(s->claim_lsn, claimed);
    lsn_format(s->side.state.current, known);
    return error_set(
        err, ERROR_RETRY, "pgoutput",
        "a keepalive of slot \"%s\" says %s, but the server's WAL ends at %s: it is not believed, and the connection is opened anew",
        s->slot, claimed, known);
}
