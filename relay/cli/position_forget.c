/* A retired pipeline may be gone from the file. Its state is then looked for in every store that
 * the other pipelines use, because an outbox source keeps it in the outbox's own database. */
#include "cli/position_forget.h"

#include "base/clock.h"
#include "cli/columns.h"
#include "cli/kit/cli_audit.h"
#include "cli/kit/shell_text.h"
#include "daemon/assembly.h"
#include <string.h>

struct forget {
    const struct config *config;
    const struct found_relay *relay;
    const char *name;
    bool yes, dead_letters;
    size_t found;
};

static bool is_stored(const struct store_position *at)
{
    return !at->absent && (at->epoch > 0 || at->cursor.len > 0);
}

static int refuse_letters(const struct forget *f, int64_t letters)
{
    return cli_error(
        EXIT_CODE_UNAVAILABLE,
        "pipeline %s has %lld dead letters, which would be lost: look at them (`commitrelay dead-letters list`), or give --dead-letters to remove them too",
        f->name, (long long)letters);
}

static int print_plan(const struct forget *f, const struct cli_store *s, int64_t letters)
{
    CLEANUP(buf_release) struct buf out = {0}, command = {0};
    buf_printf(&out, "%s: would remove its position, its history", f->name);
    if (letters > 0) {
        buf_printf(&out, ", %lld dead letters", (long long)letters);
    }
    buf_printf(&out, " and its commands from %s\nNothing was changed. To do it:\n",
               buf_str(&s->shown));
    shell_add_command(&command, "position forget", f->config->file, f->name);
    buf_printf(&command, "%s --yes", letters > 0 ? " --dead-letters" : "");
    columns_command(&out, 4, buf_slice(&command));
    return cli_show(buf_slice(&out));
}

static int remove_it(const struct forget *f, const struct cli_store *s,
                     const struct store_position *at, int64_t letters)
{
    CLEANUP(buf_release) struct buf out = {0}, before = {0};
    CLEANUP(cli_audit_release) struct cli_audit audit = {0};
    struct error err = {0};
    if (cli_audit_open(&audit, f->config, &err) || s->ops->forget(s->store, &err)) {
        return cli_fail(&err);
    }
    audit_number(&before, "delivered", (int64_t)at->delivered);
    audit_number(&before, "dead_letters", letters);
    audit_text(&before, "state", at->state);
    cli_audit_write(&audit, "position_forget", f->name, &before, NULL);
    buf_printf(&out, "%s: forgotten\nstore: %s\n", f->name, buf_str(&s->shown));
    return cli_audit_end(&audit, cli_show(buf_slice(&out)));
}

static int add_waiting(void *ctx, const struct store_parked *k)
{
    *(int64_t *)ctx += k->waiting;
    return RESULT_DONE;
}

/* The open ones, and what waits behind them: it was not delivered either. */
static int count_letters(const struct cli_store *s, int64_t *ret, struct error *err)
{
    return s->ops->dead_letter_count(s->store, ret, err) ||
                   s->ops->parked_list(s->store, add_waiting, ret, err)
               ? RESULT_ERROR
               : RESULT_DONE;
}

static int forget_in(struct forget *f, const struct cli_store *s)
{
    struct error err = {0};
    struct store_position at = {0};
    int64_t letters = 0;
    int rc = found_observe(f->relay, s, &at, &err);
    bool stored = rc == 0 && is_stored(&at);
    buf_release(&at.cursor);
    if (rc || (stored && count_letters(s, &letters, &err))) {
        return cli_fail(&err);
    }
    if (!stored) {
        return 0;
    }
    f->found++;
    if (at.locked) {
        return cli_error(EXIT_CODE_GAVE_UP,
                         "a relay runs pipeline %s (%s): stop it, or take the pipeline out of its "
                         "file and reload it, then forget it",
                         f->name, at.holder);
    }
    if (letters > 0 && !f->dead_letters) {
        return refuse_letters(f, letters);
    }
    return f->yes ? remove_it(f, s, &at, letters) : print_plan(f, s, letters);
}

static bool is_first_of_its_store(const struct config *c, size_t i)
{
    CLEANUP(buf_release) struct buf mine = {0}, other = {0};
    assembly_store_url(&mine, c, &c->pipelines[i]);
    for (size_t k = 0; k < i; k++) {
        buf_clear(&other);
        assembly_store_url(&other, c, &c->pipelines[k]);
        if (slice_equal(buf_slice(&mine), buf_slice(&other))) {
            return false;
        }
    }
    return true;
}

static const struct conf_pipeline *find(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->pipelines_count; i++) {
        if (strcmp(c->pipelines[i].name, name) == 0) {
            return &c->pipelines[i];
        }
    }
    return NULL;
}

static int forget_by(struct forget *f, const struct conf_pipeline *p)
{
    CLEANUP(cli_store_release) struct cli_store s = {0};
    int rc = cli_store_open_as(&s, f->config, p, f->name);
    return rc ? rc : forget_in(f, &s);
}

/* A pipeline that the file no longer has may be in any of its stores. */
static int forget_everywhere(struct forget *f)
{
    const struct config *c = f->config;
    const struct conf_pipeline *p = find(c, f->name);
    int rc = p ? forget_by(f, p) : 0;
    for (size_t i = 0; !p && rc == 0 && i < c->pipelines_count; i++) {
        rc = is_first_of_its_store(c, i) ? forget_by(f, &c->pipelines[i]) : 0;
    }
    return rc;
}

int position_forget(const struct config *c, const struct found_relay *relay, const char *name,
                    bool yes, bool dead_letters)
{
    const struct conf_pipeline *p;
    int rc = name ? 0 : cli_pick(c, NULL, &p);
    if (rc) {
        return rc;
    }
    name = name ? name : p->name;
    struct forget f = {
        .config = c, .relay = relay, .name = name, .yes = yes, .dead_letters = dead_letters};
    rc = forget_everywhere(&f);
    if (rc == 0 && f.found == 0) {
        CLEANUP(buf_release) struct buf out = {0};
        buf_printf(&out, "%s: nothing is stored of it\n", f.name);
        return cli_show(buf_slice(&out));
    }
    return rc;
}
