/* Writes acts of a pipeline into the audit log (audit/audit.h): what an operator ordered and the
 * pipeline did, and what its source made or dropped on the server. */
#include "pipeline/acts.h"

#include "audit/audit.h"
#include "pipeline/internal.h"

static void write_act(const struct pipeline *p, const char *event, const char *who,
                      const struct buf *before, const struct buf *after)
{
    const struct audit_line line = {
        .event = event, .pipeline = p->name, .who = who, .before = before, .after = after};
    audit_write(p->parts.audit, &line);
}

void acts_paused(const struct pipeline *p, bool was, bool is)
{
    CLEANUP(buf_release) struct buf before = {0}, after = {0};
    audit_yes(&before, "paused", was);
    audit_yes(&after, "paused", is);
    write_act(p, is ? "pause" : "resume", p->control.who, &before, &after);
}

/* Only what the source tells people of its cursor: the text itself may hold key values, of a
 * snapshot under way. */
void acts_describe(const struct pipeline *p, struct slice cursor, struct buf *ret)
{
    buf_clear(ret);
    if (cursor.len > 0 && p->parts.source->describe) {
        p->parts.source->describe(cursor, ret);
    }
    if (ret->len == 0) {
        buf_add_str(ret, cursor.len > 0 ? "unknown" : "nothing stored yet");
    }
}

void acts_position_set(const struct pipeline *p, const char *was)
{
    CLEANUP(buf_release) struct buf before = {0}, after = {0}, is = {0};
    acts_describe(p, buf_slice(&p->progress.cursor), &is);
    audit_text(&before, "position", was);
    audit_text(&after, "position", buf_str(&is));
    write_act(p, "position_set", p->control.who, &before, &after);
}

void acts_snapshot(const struct pipeline *p, const char *done)
{
    CLEANUP(buf_release) struct buf after = {0};
    audit_text(&after, "done", done);
    write_act(p, "snapshot", p->control.who, NULL, &after);
}

void acts_letter(const struct pipeline *p, const char *event, const char *who, int64_t letter,
                 const char *state)
{
    CLEANUP(buf_release) struct buf before = {0}, after = {0};
    audit_letter(&before, letter, STORE_LETTER_OPEN);
    audit_letter(&after, letter, state);
    write_act(p, event, who, &before, &after);
}

void acts_of_source(void *ctx, enum source_deed deed, const char *name, const char *at)
{
    static const struct {
        const char *event, *object;
        bool gone;
    } deeds[] = {[SOURCE_SLOT_MADE] = {"slot_made", "slot", false},
                 [SOURCE_SLOT_DROPPED] = {"slot_dropped", "slot", true},
                 [SOURCE_PUBLICATION_MADE] = {"publication_made", "publication", false}};
    const struct pipeline *p = ctx;
    CLEANUP(buf_release) struct buf facts = {0};
    audit_text(&facts, deeds[deed].object, name);
    if (at[0]) {
        audit_text(&facts, "position", at);
    }
    write_act(p, deeds[deed].event, NULL, deeds[deed].gone ? &facts : NULL,
              deeds[deed].gone ? NULL : &facts);
}
