/* `check --connect`: reports everything that would stop or slow down a change stream, each with the
 * statement that mends it. It changes nothing. */
#include "cdc/preflight/internal.h"

enum { BYTES_TEXT = 32 };

static const char *show_bytes(int64_t bytes, char out[BYTES_TEXT])
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double v = (double)bytes;
    size_t unit = 0;
    while (v >= 10000 && unit + 1 < sizeof units / sizeof *units) {
        v /= 1024;
        unit++;
    }
    snprintf(out, BYTES_TEXT, "%.0f %s", v, units[unit]);
    return out;
}

/* --- server --- */

static void check_pooler(const struct doctor *d)
{
    struct fault f;
    if (server_judge_pooler(d->server, &f)) {
        doctor_fault(d, &f);
    } else if (d->p->stream && d->server->backend_pid != pg_backend_pid(d->p->sql)) {
        doctor_tell(
            d, 0, "give the server's own host and port in source.url",
            "a connection pooler is between the relay and PostgreSQL; it may cut the replication connection");
    }
}

static void check_version(const struct doctor *d)
{
    struct fault f;
    const char *loss = server_known_loss(d->server->version);
    if (server_judge_version(d->server, &f)) {
        doctor_fault(d, &f);
    } else if (loss) {
        doctor_tell(d, 0, "install the latest minor release of this version",
                    "PostgreSQL %d.%d: %s", d->server->version / 10000, d->server->version % 10000,
                    loss);
    }
}

static void check_room(const struct doctor *d, bool slot_there)
{
    const struct server_facts *s = d->server;
    if (!slot_there && s->slots_used >= s->slots_max) {
        doctor_tell(
            d, EXIT_CODE_CONFIG,
            "SELECT slot_name, active FROM pg_replication_slots, then SELECT"
            " pg_drop_replication_slot('...') for one that nobody needs; or ALTER SYSTEM SET"
            " max_replication_slots = ..., then restart the server",
            "all %lld replication slots are in use (max_replication_slots)",
            (long long)s->slots_max);
    }
    /* The doctor's own stream has one of them, so one is left. Where none was left, the stream
     * could not connect, and its error has told. */
    if (d->p->stream && s->senders_used == s->senders_max) {
        doctor_tell(
            d, 0, "ALTER SYSTEM SET max_wal_senders = ..., then restart the server",
            "one of %lld WAL senders is left (max_wal_senders): a reconnect needs two for a moment",
            (long long)s->senders_max);
    }
}

static void check_keeping(const struct doctor *d)
{
    const struct server_facts *s = d->server;
    if (s->keep_bytes < 0) {
        doctor_tell(d, 0,
                    "ALTER SYSTEM SET max_slot_wal_keep_size = '50GB'; SELECT pg_reload_conf()"
                    " (beyond it the slot is lost instead)",
                    "max_slot_wal_keep_size is without a limit: while the relay stands still the"
                    " server keeps all WAL, until its disk is full");
    }
    if (s->idle_timeout_s > 0) {
        doctor_tell(d, 0,
                    "ALTER SYSTEM SET idle_replication_slot_timeout = 0; SELECT pg_reload_conf()",
                    "idle_replication_slot_timeout is %lld s: a relay that is stopped for longer"
                    " loses its slot",
                    (long long)s->idle_timeout_s);
    }
}

static void check_synchronous(const struct doctor *d)
{
    char application[64];
    snprintf(application, sizeof application, "commitrelay %s", d->p->pipeline);
    if (server_waits_for(d->server->sync_names, application)) {
        doctor_tell(d, 0,
                    "ALTER SYSTEM SET synchronous_standby_names = '...' with the standbys' names"
                    " only; SELECT pg_reload_conf()",
                    "synchronous_standby_names (%.200s) makes every commit wait for this relay",
                    d->server->sync_names);
    }
}

static void check_standby(const struct doctor *d)
{
    struct fault f;
    if (server_judge_standby(d->server, &f)) {
        doctor_fault(d, &f);
    } else if (d->server->standby) {
        doctor_tell(d, 0, "name the primary in source.url, or keep the database busy",
                    "this server is a standby: no heartbeat can be written here");
        if (!d->server->hot_standby_feedback) {
            doctor_tell(d, EXIT_CODE_CONFIG,
                        "ALTER SYSTEM SET hot_standby_feedback = on; SELECT pg_reload_conf(); and"
                        " use a physical slot towards the primary (primary_slot_name)",
                        "hot_standby_feedback is off: the primary may remove catalog rows that the"
                        " slot needs, which loses it");
        }
    }
}

static void check_server(const struct doctor *d)
{
    struct fault f;
    check_version(d);
    check_pooler(d);
    if (server_judge_wal(d->server, &f)) {
        doctor_fault(d, &f);
    }
    if (server_judge_plugin(d->server, &f)) {
        doctor_fault(d, &f);
    }
    if (server_judge_encoding(d->server, d->p, &f)) {
        doctor_fault(d, &f);
    }
    check_standby(d);
    check_keeping(d);
    check_synchronous(d);
}

/* --- slot --- */

static void check_lost(const struct doctor *d, const struct slot_facts *s)
{
    char remedy[300];
    snprintf(remedy, sizeof remedy,
             "SELECT pg_drop_replication_slot('%s') and copy the tables again (on_lost_slot:"
             " resnapshot), or make it anew and accept the gap (commitrelay position set ..."
             " beginning --yes)",
             d->p->slot);
    doctor_tell(d, EXIT_CODE_UNAVAILABLE, remedy,
                "replication slot %s was invalidated by the server (%s)", d->p->slot,
                s->reason[0] ? s->reason : "its WAL was removed");
}

/* How much WAL the slot keeps, and whether the limit is near at which it is lost. */
static void check_retained(const struct doctor *d, const struct slot_facts *s)
{
    char kept[BYTES_TEXT], limit[BYTES_TEXT];
    int64_t max = d->server->keep_bytes;
    bool near = max > 0 && s->retained_bytes > max / 2;
    if (s->wal_status == WAL_UNRESERVED || near) {
        doctor_tell(
            d, EXIT_CODE_CONFIG,
            "let the relay catch up, or ALTER SYSTEM SET max_slot_wal_keep_size = ...; SELECT pg_reload_conf()",
            "replication slot %s keeps %s of WAL, and is lost beyond %s", d->p->slot,
            show_bytes(s->retained_bytes, kept), show_bytes(max, limit));
    } else if (s->retained_bytes >= 0) {
        doctor_tell(d, 0, "", "replication slot %s (%s) keeps %s of WAL", d->p->slot,
                    s->wal_status ? wal_status_name(s->wal_status) : "no status",
                    show_bytes(s->retained_bytes, kept));
    }
}

/* Reports large transactions only if there were any: a small setting by itself is no fault. */
static int check_spilling(const struct doctor *d, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    char bytes[BYTES_TEXT];
    if (pg_query(d->p->sql,
                 "select spill_txns, spill_bytes, current_setting('logical_decoding_work_mem')"
                 " from pg_stat_replication_slots where slot_name = $1 and spill_txns > 0",
                 1, (const char *const[]){d->p->slot}, &r, err)) {
        return error_prefix(err, "statistics of slot %s", d->p->slot);
    }
    if (pg_rows(r) > 0) {
        doctor_tell(d, 0,
                    "ALTER SYSTEM SET logical_decoding_work_mem = ...; SELECT pg_reload_conf(); or"
                    " streaming: true in the source",
                    "%lld transactions were larger than logical_decoding_work_mem (%.*s) and were"
                    " written to the server's disk, %s",
                    (long long)pg_int(r, 0, 0, 0), SLICE_FMT(pg_value(r, 0, 2)),
                    show_bytes(pg_int(r, 0, 1, 0), bytes));
    }
    return RESULT_DONE;
}

/* Judges the stored position and the slot as a start does. Not while somebody reads the slot: it
 * moves on meanwhile, and the reader was reported. *ret_told: a fault was reported; untouched if
 * nothing was judged. */
static int check_stored(const struct doctor *d, const struct slot_facts *found, bool *ret_told,
                        struct error *err)
{
    struct slot_case c = {.conf = d->p->conf,
                          .pipeline = d->p->pipeline,
                          .slot = d->p->slot,
                          .standby = d->server->standby,
                          .found = found,
                          .cursor = d->stored->cursor};
    struct stream_identity identity;
    enum slot_way way;
    struct fault f;
    if (!d->stored->known || !d->p->stream || found->active) {
        return RESULT_DONE;
    }
    if (stream_identify(d->p->stream, &identity, err) ||
        slot_find_switch(d->p, &identity, c.cursor, &c.switch_lsn, err)) {
        return RESULT_ERROR;
    }
    c.identity = &identity;
    *ret_told = slot_judge(&c, &way, &f);
    if (*ret_told) {
        doctor_fault(d, &f);
    }
    return RESULT_DONE;
}

static int check_no_slot(const struct doctor *d, const struct slot_facts *none, struct error *err)
{
    bool told = false, made = d->p->conf->create_slot;
    if (check_stored(d, none, &told, err)) {
        return RESULT_ERROR;
    }
    if (told) {
        return RESULT_DONE;
    }
    if (made && d->stored->known && !d->stored->cursor) {
        struct fault f;
        if (polling_judge(d->p, &f, err)) {
            if (f.class == ERROR_NONE) {
                return RESULT_ERROR;
            }
            doctor_fault(d, &f);
            return RESULT_DONE;
        }
    }
    char remedy[300];
    snprintf(remedy, sizeof remedy,
             "SELECT pg_create_logical_replication_slot('%s', 'pgoutput'); or set create_slot:"
             " true",
             d->p->slot);
    doctor_tell(d, made ? 0 : EXIT_CODE_CONFIG, made ? "" : remedy,
                "replication slot %s does not exist%s", d->p->slot,
                made ? " yet: the first `run` makes it" : "");
    return RESULT_DONE;
}

/* The slot is there already, so a start reads no snapshot, although one is configured. */
static void check_no_snapshot(const struct doctor *d)
{
    const struct cdc_conf *c = d->p->conf;
    if (d->stored->known && !d->stored->cursor && c->start_from_given &&
        strcmp(c->start_from, "beginning") == 0 && cdc_conf_snapshot(c) == CDC_SNAPSHOT_INITIAL) {
        doctor_tell(
            d, 0, snapshot_remedy(c),
            "replication slot %s was there before this relay: no snapshot is read, rows from before the slot are not sent",
            d->p->slot);
    }
}

static int check_slot(const struct doctor *d, struct error *err)
{
    struct slot_facts s;
    struct fault f;
    bool told;
    if (slot_look(d->p->sql, d->p->slot, &s, err)) {
        return RESULT_ERROR;
    }
    check_room(d, s.there);
    if (!s.there) {
        return check_no_slot(d, &s, err);
    }
    if (slot_judge_kind(&s, d->p->slot, d->server->database, &f)) {
        doctor_fault(d, &f);
        return RESULT_DONE;
    }
    if (slot_is_lost(&s)) {
        check_lost(d, &s);
        return RESULT_DONE;
    }
    if (slot_judge_reader(&s, d->p->slot, &f)) {
        doctor_tell(d, 0, "", "replication slot %s is read by pid %d (%s)", d->p->slot, s.pid,
                    s.application[0] ? s.application : "its application is not shown");
    }
    check_retained(d, &s);
    check_no_snapshot(d);
    return check_spilling(d, err) || check_stored(d, &s, &told, err) ? RESULT_ERROR : RESULT_DONE;
}

/* --- publication --- */

static int check_publication(const struct doctor *d, struct error *err)
{
    struct publication_facts found;
    struct fault f;
    bool made;
    if (publication_prepare(d->p, false, &found, &made, &f, err)) {
        if (f.class == ERROR_NONE) {
            return RESULT_ERROR;
        }
        bool will_make = !found.there && d->p->conf->create_publication;
        doctor_tell(d, will_make ? 0 : f.exit_code, f.remedy, "%s", f.text);
    }
    return found.there ? doctor_tables(d, &found, err) : RESULT_DONE;
}

int preflight_doctor(const struct preflight *p, const struct preflight_stored *stored,
                     finding_report *report, void *ctx, struct error *err)
{
    struct server_facts server;
    if (server_look(p->sql, &server, err)) {
        return RESULT_ERROR;
    }
    struct preflight looked = *p;
    looked.money_unit = server.money_unit;
    const struct doctor d = {&looked, stored, &server, report, ctx};
    check_server(&d);
    if (check_publication(&d, err) || check_slot(&d, err)) {
        return RESULT_ERROR;
    }
    return RESULT_DONE;
}
