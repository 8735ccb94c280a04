/* Decides whether the stream may go on at the stored position. It only compares facts that were
 * asked for before, so unit tests can cover each case.
 *
 * A position is refused if the server cannot send everything behind it: going on would leave a gap
 * that nobody sees. Every refusal names the ways out. */
#include "cdc/preflight/internal.h"

static void show(uint64_t lsn, char out[LSN_TEXT_SIZE])
{
    (void)lsn_format(lsn, out);
}

bool slot_is_lost(const struct slot_facts *s)
{
    return s->there && (s->wal_status == WAL_LOST || s->reason[0] != '\0');
}

bool slot_snapshot_possible(const struct cdc_conf *conf)
{
    return cdc_conf_snapshot(conf) != CDC_SNAPSHOT_NEVER;
}

const char *snapshot_remedy(const struct cdc_conf *conf)
{
    return conf->as == CDC_AS_OUTBOX
               ? "drop the slot before the first start, and let create_slot: true make it"
               : "set snapshot: always; or drop the slot before the first start, and let"
                 " create_slot: true make it";
}

static int unavailable(struct fault *f)
{
    f->class = ERROR_FATAL;
    f->exit_code = EXIT_CODE_UNAVAILABLE;
    return RESULT_ERROR;
}

/* Data may be lost, as f->text says. With on_lost_slot: resnapshot the way is to copy the tables
 * again. Else it is refused; `accept` is the beginning of the commands that accept the gap. */
static int lost(const struct slot_case *c, enum slot_way *ret, struct fault *f, const char *accept)
{
    bool possible = slot_snapshot_possible(c->conf);
    if (c->conf->on_lost_slot == CDC_LOST_RESNAPSHOT && possible) {
        *ret = SLOT_MAKE_AGAIN;
        return RESULT_DONE;
    }
    fault_mend(
        f,
        "either copy the tables again (source: on_lost_slot: resnapshot%s), or accept the gap: %scommitrelay position set -c FILE --pipeline %s beginning --yes",
        possible ? "" : ", which needs snapshot: initial", accept, c->pipeline);
    return unavailable(f);
}

/* --- the stored position against the server --- */

static int judge_cluster(const struct slot_case *c, struct fault *f)
{
    if (c->cursor->system_id == c->identity->system_id) {
        return RESULT_DONE;
    }
    fault_set(
        f, ERROR_FATAL, EXIT_CODE_UNAVAILABLE,
        "the stored position is of another database cluster (system identifier %llu; this server has %llu): positions of one mean nothing in the other",
        (unsigned long long)c->cursor->system_id, (unsigned long long)c->identity->system_id);
    return fault_mend(
        f,
        "correct source.url; or, if the database moved here for good and nothing of the old one is missing, commitrelay position set -c FILE --pipeline %s beginning --yes",
        c->pipeline);
}

/* The highest LSN of which events were delivered. Within a transaction that is the LSN of its
 * commit, because part of its events were delivered. */
static uint64_t reached(const struct cdc_cursor *cursor)
{
    bool inside = cursor->ordinal > 0 || cursor->part > 0;
    return inside && cursor->commit > cursor->start ? cursor->commit : cursor->start;
}

static int judge_timeline(const struct slot_case *c, struct fault *f)
{
    const struct cdc_cursor *cursor = c->cursor;
    uint64_t at = reached(cursor);
    if (cursor->timeline == c->identity->timeline ||
        (c->switch_lsn && (at < c->switch_lsn || (at == c->switch_lsn && at == cursor->start)))) {
        return RESULT_DONE;
    }
    char text[LSN_TEXT_SIZE], fork[LSN_TEXT_SIZE];
    show(at, text);
    show(c->switch_lsn, fork);
    if (c->switch_lsn) {
        fault_set(
            f, ERROR_FATAL, EXIT_CODE_UNAVAILABLE,
            "after a fail-over this server (timeline %u) left timeline %u at %s, but events up to %s were delivered: what was committed between the two exists downstream and not here",
            c->identity->timeline, cursor->timeline, fork, text);
    } else {
        fault_set(f, ERROR_FATAL, EXIT_CODE_UNAVAILABLE,
                  "the stored position %s is of timeline %u, which is not in the history of this"
                  " server (timeline %u): it was restored from a backup or is another branch",
                  text, cursor->timeline, c->identity->timeline);
    }
    return fault_mend(
        f,
        "find out what differs, then go on where the slot stands: commitrelay position set -c FILE --pipeline %s beginning --yes",
        c->pipeline);
}

/* Is the position beyond the end of the server's WAL? The server would accept such a position, and
 * skip everything that is written until the WAL gets there. */
static int judge_ahead(const struct slot_case *c, struct fault *f)
{
    char text[LSN_TEXT_SIZE], end[LSN_TEXT_SIZE];
    uint64_t at = reached(c->cursor);
    if (at <= c->identity->flush_lsn) {
        return RESULT_DONE;
    }
    show(at, text);
    show(c->identity->flush_lsn, end);
    if (c->standby) {
        fault_set(f, ERROR_RETRY, EXIT_CODE_GAVE_UP,
                  "waits for the standby to replay up to the stored position %s; it is at %s", text,
                  end);
        return RESULT_ERROR;
    }
    fault_set(
        f, ERROR_FATAL, EXIT_CODE_UNAVAILABLE,
        "the stored position %s is ahead of the server's WAL, which ends at %s: the server was restored or lost what it had; events were delivered that it does not know",
        text, end);
    return fault_mend(
        f,
        "find out what is missing, then go on where the slot stands: commitrelay position set -c FILE --pipeline %s beginning --yes",
        c->pipeline);
}

/* --- the slot --- */

static int judge_no_slot(const struct slot_case *c, enum slot_way *ret, struct fault *f)
{
    char text[LSN_TEXT_SIZE], accept[NAME_SIZE];
    if (!c->cursor) {
        if (c->conf->create_slot) {
            *ret = SLOT_MAKE;
            return RESULT_DONE;
        }
        fault_set(f, ERROR_CONFIG, EXIT_CODE_CONFIG, "replication slot %s does not exist", c->slot);
        return fault_mend(f,
                          "SELECT pg_create_logical_replication_slot('%s', 'pgoutput') and"
                          " start_from: beginning; or set create_slot: true",
                          c->slot);
    }
    show(c->cursor->start, text);
    snprintf(accept, sizeof accept,
             "SELECT pg_create_logical_replication_slot('%s', 'pgoutput'), then ", c->slot);
    fault_set(
        f, ERROR_FATAL, EXIT_CODE_UNAVAILABLE,
        "replication slot %s does not exist, although a position is stored: data may be lost, namely everything committed after %s",
        c->slot, text);
    return lost(c, ret, f, accept);
}

static int judge_lost(const struct slot_case *c, enum slot_way *ret, struct fault *f)
{
    const struct slot_facts *s = c->found;
    char text[LSN_TEXT_SIZE], accept[NAME_SIZE * 2];
    show(c->cursor ? c->cursor->start : s->confirmed, text);
    snprintf(accept, sizeof accept,
             "SELECT pg_drop_replication_slot('%s'), SELECT"
             " pg_create_logical_replication_slot('%s', 'pgoutput'), then ",
             c->slot, c->slot);
    fault_set(
        f, ERROR_FATAL, EXIT_CODE_UNAVAILABLE,
        "replication slot %s was invalidated by the server (%s): data may be lost, namely everything committed after %s",
        c->slot, s->reason[0] ? s->reason : "its WAL was removed: max_slot_wal_keep_size", text);
    return lost(c, ret, f, accept);
}

int slot_judge_kind(const struct slot_facts *s, const char *slot, const char *database,
                    struct fault *f)
{
    if (!s->logical) {
        fault_set(f, ERROR_CONFIG, EXIT_CODE_CONFIG,
                  "replication slot %s is a physical one, of a standby or a backup", slot);
    } else if (strcmp(s->plugin, "pgoutput") != 0) {
        fault_set(f, ERROR_CONFIG, EXIT_CODE_CONFIG,
                  "replication slot %s is of the output plugin %s, not of pgoutput", slot,
                  s->plugin);
    } else if (strcmp(s->database, database) != 0) {
        fault_set(f, ERROR_CONFIG, EXIT_CODE_CONFIG,
                  "replication slot %s is of database \"%s\", not of \"%s\"", slot, s->database,
                  database);
    } else if (s->two_phase) {
        fault_set(
            f, ERROR_CONFIG, EXIT_CODE_CONFIG,
            "replication slot %s was made with two_phase: prepared transactions would be sent before they are committed",
            slot);
    } else {
        return RESULT_DONE;
    }
    return fault_mend(
        f,
        "give another name in source.slot, or, if nobody needs it, SELECT pg_drop_replication_slot('%s')",
        slot);
}

int slot_judge_reader(const struct slot_facts *s, const char *slot, struct fault *f)
{
    if (!s->active) {
        return RESULT_DONE;
    }
    fault_set(f, ERROR_RETRY, EXIT_CODE_GAVE_UP, "waits: slot %s is active for pid %d (%s%s%s)",
              slot, s->pid, s->application[0] ? "application \"" : "its application is not shown",
              s->application, s->application[0] ? "\"" : "");
    snprintf(f->code, sizeof f->code, STREAM_SLOT_ACTIVE);
    return fault_mend(
        f,
        "end that client; one that is gone is noticed by the server after wal_sender_timeout, or now by SELECT pg_terminate_backend(%d)",
        s->pid);
}

/* There is a slot but no stored position, so it is not known what was delivered. Only start_from
 * can say where to go on. */
static int judge_no_cursor(const struct slot_case *c, struct fault *f)
{
    char text[LSN_TEXT_SIZE];
    uint64_t commit, ordinal;
    uint32_t part;
    show(c->found->confirmed, text);
    if (!c->conf->start_from_given) {
        fault_set(
            f, ERROR_FATAL, EXIT_CODE_UNAVAILABLE,
            "replication slot %s exists, but no position is stored: what was delivered before its position %s is not known",
            c->slot, text);
        return fault_mend(
            f,
            "to go on there without a snapshot, set start_from: beginning, or run commitrelay position set -c FILE --pipeline %s beginning --yes (now instead of beginning skips to the end); or, if it is left over from a first start that was cut off, SELECT pg_drop_replication_slot('%s') and start again",
            c->pipeline, c->slot);
    }
    if (!cdc_position_parse(c->conf->start_from, &commit, &ordinal, &part)) {
        return RESULT_DONE;
    }
    if (commit > c->identity->flush_lsn) {
        fault_set(f, ERROR_FATAL, EXIT_CODE_UNAVAILABLE,
                  "start_from %s is ahead of the server's WAL: it is a position of another server",
                  c->conf->start_from);
        return fault_mend(f, "set start_from: beginning or now");
    }
    if (commit < c->found->confirmed) {
        fault_set(f, ERROR_FATAL, EXIT_CODE_UNAVAILABLE,
                  "start_from %s is before what slot %s still has, which begins at %s",
                  c->conf->start_from, c->slot, text);
        return fault_mend(f, "set start_from: beginning to go on there");
    }
    return RESULT_DONE;
}

/* Was the slot moved beyond the stored position? The relay saves a position before it confirms it,
 * so somebody else did that. */
static int judge_moved(const struct slot_case *c, enum slot_way *ret, struct fault *f)
{
    char start[LSN_TEXT_SIZE], confirmed[LSN_TEXT_SIZE];
    *ret = SLOT_USE;
    if (c->found->confirmed <= c->cursor->start) {
        return RESULT_DONE;
    }
    show(c->cursor->start, start);
    show(c->found->confirmed, confirmed);
    fault_set(
        f, ERROR_FATAL, EXIT_CODE_UNAVAILABLE,
        "replication slot %s begins at %s, beyond the stored position %s: it was made anew or somebody else moved it; data may be lost, namely what was committed between the two",
        c->slot, confirmed, start);
    return lost(c, ret, f, "");
}

static int judge_use(const struct slot_case *c, enum slot_way *ret, struct fault *f)
{
    const struct slot_facts *s = c->found;
    if (slot_judge_kind(s, c->slot, c->identity->database, f)) {
        return RESULT_ERROR;
    }
    if (slot_is_lost(s)) {
        return judge_lost(c, ret, f);
    }
    if (s->being_made) {
        return fault_set(
            f, ERROR_RETRY, EXIT_CODE_GAVE_UP,
            "waits: slot %s is being made by pid %d, which waits for the transactions that are open",
            c->slot, s->pid);
    }
    *ret = SLOT_USE;
    return c->cursor ? judge_moved(c, ret, f) : judge_no_cursor(c, f);
}

int slot_judge(const struct slot_case *c, enum slot_way *ret, struct fault *f)
{
    f->class = ERROR_NONE;
    if (c->cursor && (judge_cluster(c, f) || judge_timeline(c, f) || judge_ahead(c, f))) {
        return RESULT_ERROR;
    }
    if (!c->found->there) {
        return judge_no_slot(c, ret, f);
    }
    if (judge_use(c, ret, f) || slot_judge_reader(c->found, c->slot, f)) {
        return RESULT_ERROR;
    }
    if (c->standby && c->found->synced) {
        fault_set(
            f, ERROR_RETRY, EXIT_CODE_GAVE_UP,
            "waits: slot %s is a copy of the primary's and can be read once this standby is promoted",
            c->slot);
        return fault_mend(f, "name the primary in source.url");
    }
    return RESULT_DONE;
}
