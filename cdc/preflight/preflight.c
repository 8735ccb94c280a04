/* The order of the checks before a start: server, publication, slot. The publication comes before
 * the slot, because a slot does not send what was written before its publication existed. Each
 * thing is created only after the checks before it have passed. */
#include "cdc/preflight/internal.h"

static void note(struct preflight_result *r, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void note(struct preflight_result *r, const char *fmt, ...)
{
    size_t used = strlen(r->note);
    va_list args;
    if (used > 0 && used + 2 < sizeof r->note) {
        memcpy(r->note + used, "; ", 3);
        used += 2;
    }
    va_start(args, fmt);
    vsnprintf(r->note + used, sizeof r->note - used, fmt, args);
    va_end(args);
}

/* --- server --- */

/* The role's right to replicate is not asked for: the stream could not be connected without it. */
static int judge_server(const struct preflight *p, const struct server_facts *s, struct fault *f)
{
    if (server_judge_version(s, f) || server_judge_pooler(s, f) || server_judge_wal(s, f) ||
        server_judge_plugin(s, f) || server_judge_standby(s, f) || server_judge_encoding(s, p, f)) {
        return RESULT_ERROR;
    }
    return RESULT_DONE;
}

static void note_server(const struct preflight *p, const struct server_facts *s,
                        struct preflight_result *r)
{
    char application[64];
    snprintf(application, sizeof application, "commitrelay %s", p->pipeline);
    if (server_waits_for(s->sync_names, application)) {
        note(
            r,
            "synchronous_standby_names (%.80s) makes commits wait for this relay: take it out of the list",
            s->sync_names);
    }
    if (s->standby) {
        note(
            r,
            "this server is a standby: no heartbeat can be written, and the primary must have wal_level = logical");
    }
    const char *loss = server_known_loss(s->version);
    if (loss) {
        note(r, "PostgreSQL %d.%d: %s; update it", s->version / 10000, s->version % 10000, loss);
    }
}

/* --- slot --- */

int slot_find_switch(const struct preflight *p, const struct stream_identity *identity,
                     const struct cdc_cursor *cursor, uint64_t *ret, struct error *err)
{
    *ret = 0;
    if (!cursor || cursor->timeline == identity->timeline ||
        cursor->system_id != identity->system_id) {
        return RESULT_DONE;
    }
    return stream_switch_point(p->stream, identity->timeline, cursor->timeline, ret, err);
}

static int make_slot(const struct preflight *p, bool export_snapshot, struct preflight_result *r,
                     struct error *err)
{
    char lsn[LSN_TEXT_SIZE];
    if (slot_make(p, export_snapshot, &r->created, err)) {
        return RESULT_ERROR;
    }
    (void)lsn_format(r->created.consistent_lsn, lsn);
    source_did(p->env, SOURCE_SLOT_MADE, p->slot, lsn);
    r->slot_created = true;
    r->slot_confirmed = r->created.consistent_lsn;
    note(r, "created replication slot %s, which begins at %s", p->slot, lsn);
    return RESULT_DONE;
}

/* Drops what is left of a lost slot and makes it again. Only called with on_lost_slot: resnapshot,
 * once slot_judge has found the slot lost. */
static int replace_slot(const struct preflight *p, const struct slot_facts *found,
                        struct preflight_result *r, struct error *err)
{
    struct fault f;
    if (found->there) {
        if (slot_judge_reader(found, p->slot, &f)) {
            return fault_error(&f, err);
        }
        if (stream_drop_slot(p->stream, p->slot, err)) {
            return RESULT_ERROR;
        }
        source_did(p->env, SOURCE_SLOT_DROPPED, p->slot, "");
    }
    r->resnapshot = true;
    note(r, "slot %s was lost: all tables are copied again (on_lost_slot: resnapshot)", p->slot);
    return make_slot(p, true, r, err);
}

/* The configuration asks for a snapshot and none is read, so a note says so. */
static void note_no_snapshot(const struct preflight *p, struct preflight_result *r)
{
    note(
        r,
        "slot %s was there before this relay: no snapshot is read (snapshot: initial), rows from before the slot are not sent; to have them, %s",
        p->slot, snapshot_remedy(p->conf));
}

static int prepare_slot(const struct preflight *p, const struct server_facts *server,
                        const struct cdc_cursor *cursor, bool want_snapshot,
                        struct preflight_result *r, struct error *err)
{
    struct slot_facts found;
    struct fault f;
    enum slot_way way = SLOT_USE;
    uint64_t switch_lsn;
    if (slot_find_switch(p, &r->identity, cursor, &switch_lsn, err) ||
        slot_look(p->sql, p->slot, &found, err)) {
        return RESULT_ERROR;
    }
    const struct slot_case c = {.conf = p->conf,
                                .pipeline = p->pipeline,
                                .slot = p->slot,
                                .identity = &r->identity,
                                .standby = server->standby,
                                .found = &found,
                                .cursor = cursor,
                                .switch_lsn = switch_lsn};
    if (slot_judge(&c, &way, &f)) {
        return fault_error(&f, err);
    }
    switch (way) {
    case SLOT_MAKE:
        if (polling_judge(p, &f, err)) {
            return f.class == ERROR_NONE ? RESULT_ERROR : fault_error(&f, err);
        }
        return make_slot(p, want_snapshot, r, err);
    case SLOT_MAKE_AGAIN:
        return replace_slot(p, &found, r, err);
    case SLOT_USE:
        break;
    }
    r->slot_confirmed = found.confirmed;
    if (!cursor && want_snapshot && cdc_conf_snapshot(p->conf) == CDC_SNAPSHOT_INITIAL) {
        note_no_snapshot(p, r);
    }
    if (found.wal_status == WAL_UNRESERVED) {
        note(
            r,
            "slot %s is about to be lost: the server keeps no more of its WAL (max_slot_wal_keep_size)",
            p->slot);
    }
    return RESULT_DONE;
}

int preflight_run(const struct preflight *p, const struct cdc_cursor *cursor, bool want_snapshot,
                  struct preflight_result *ret, struct error *err)
{
    struct preflight_result r = {.note = ""};
    struct server_facts server;
    struct publication_facts publication;
    struct fault f;
    bool made;
    if (stream_identify(p->stream, &r.identity, err) || server_look(p->sql, &server, err)) {
        return RESULT_ERROR;
    }
    if (judge_server(p, &server, &f)) {
        return fault_error(&f, err);
    }
    struct preflight looked = *p;
    looked.money_unit = r.money_unit = server.money_unit;
    if (publication_prepare(&looked, !p->observe && !server.standby, &publication, &made, &f,
                            err)) {
        return f.class == ERROR_NONE ? RESULT_ERROR : fault_error(&f, err);
    }
    if (made) {
        note(&r, "created publication %s", p->publication);
    }
    if (!p->observe && prepare_slot(p, &server, cursor, want_snapshot, &r, err)) {
        return RESULT_ERROR;
    }
    note_server(p, &server, &r);
    *ret = r;
    return RESULT_DONE;
}
