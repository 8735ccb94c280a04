/* One row that the server cannot give (bytes that are no text of the database's encoding, a damaged
 * or too large value) is one poisoned event, and not the end of the pipeline. */
#include "source/outbox_postgres.h"

#include <stdio.h>

/* What a value can be the cause of: data, limits of the server, and what it cannot read itself. */
static bool is_of_a_value(const char *sqlstate)
{
    static const char *const prefixes[] = {"22", "54", "XX"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        if (strncmp(sqlstate, prefixes[i], 2) == 0) {
            return true;
        }
    }
    return false;
}

bool outbox_pg_look_closer(struct outbox_pg *s, const struct error *err)
{
    bool page = s->sent == SENT_PAGE || s->sent == SENT_WINDOW;
    if (!page || !is_of_a_value(err->code) || s->spoilt == FORM_BARE) {
        s->one_by_one = false;
        s->spoilt = FORM_ORDINARY;
        return false;
    }
    if (!s->one_by_one) {
        s->one_by_one = true;
        s->one_by_one_left = s->page_limit;
    } else if (s->sent == SENT_WINDOW) {
        s->one_by_one = false; /* no row of it is asked for then: the table itself is at fault */
        return false;
    } else {
        s->spoilt = s->spoilt == FORM_ESCAPED ? FORM_BARE : FORM_ESCAPED;
        snprintf(s->unreadable, sizeof s->unreadable, "%.*s", (int)sizeof s->unreadable - 1,
                 err->text);
    }
    s->next_poll_us = 0;
    return true;
}

void outbox_pg_look_on(struct outbox_pg *s)
{
    bool found = s->spoilt != FORM_ORDINARY;
    s->spoilt = FORM_ORDINARY;
    s->one_by_one = s->one_by_one && !found && --s->one_by_one_left > 0;
}

int outbox_pg_why_unreadable(struct outbox_pg *s, struct batch *batch, const char **ret,
                             struct error *err)
{
    *ret = NULL;
    if (s->form != FORM_ESCAPED && s->form != FORM_BARE) {
        return RESULT_DONE;
    }
    if (s->form == FORM_BARE && s->conf->mode == OUTBOX_PG_DELETE) {
        return error_set(
            err, ERROR_CONFIG, "postgres",
            "row %.*s of %s cannot be read (%s), and mode: delete would remove it unread:"
            " mend or remove it",
            SLICE_FMT(pg_value(s->page, s->row, PAGE_KEY)), s->table.quoted, s->unreadable);
    }
    CLEANUP(buf_release) struct buf text = {0};
    buf_printf(&text, "the server cannot give its values: %s", s->unreadable);
    *ret = arena_copy(&batch->arena, buf_slice(&text)).ptr;
    return RESULT_DONE;
}
