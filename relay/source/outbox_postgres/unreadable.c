/*
 * Finds the one row that the server cannot give: bytes that are no text in the database's encoding,
 * a damaged value, one that is too large. The row becomes a poison event, and the pipeline goes on.
 *
 * The page that failed is asked for row by row. The row at which this fails is asked for in the
 * forms ESCAPED, BARE and KEY, one after the other, until one of them works.
 */
#include "source/outbox_postgres/internal.h"

#include <stdio.h>
#include <string.h>

/* The SQLSTATE classes that a single value can cause: data (22), limits of the server (54), what
 * the server cannot read itself (XX), and memory that one row needs. */
static bool is_of_a_value(const char *sqlstate)
{
    static const char *const prefixes[] = {"22", "54", "XX", PG_OUT_OF_MEMORY};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        if (strncmp(sqlstate, prefixes[i], strlen(prefixes[i])) == 0) {
            return true;
        }
    }
    return false;
}

/* A server that is short of memory may have some later: the row is tried as often as
 * delivery.attempts says. */
static bool may_pass(struct outbox_pg *s, const char *sqlstate)
{
    return strcmp(sqlstate, PG_OUT_OF_MEMORY) == 0 && ++s->short_of_memory < s->env->attempts;
}

bool outbox_pg_look_closer(struct outbox_pg *s, const struct error *err)
{
    bool page = s->sent == SENT_PAGE || s->sent == SENT_WINDOW;
    if (!page || !pg_alive(s->reader) || !is_of_a_value(err->code) || s->spoilt == FORM_KEY) {
        s->one_by_one = false;
        s->spoilt = FORM_ORDINARY;
        return false;
    }
    if (!s->one_by_one) {
        s->one_by_one = true;
        s->one_by_one_left = s->page_limit;
    } else if (s->sent == SENT_WINDOW) {
        s->one_by_one = false; /* this statement asks for no row, so the table itself is at fault */
        return false;
    } else if (may_pass(s, err->code)) {
        return false;
    } else {
        s->spoilt = s->spoilt == FORM_ORDINARY ? FORM_ESCAPED : s->spoilt + 1;
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
    s->short_of_memory = 0;
    s->one_by_one = s->one_by_one && !found && --s->one_by_one_left > 0;
}

void outbox_pg_tell_unreadable(const struct outbox_pg *s, struct event *e, struct arena *arena)
{
    if (s->form == FORM_ORDINARY || s->form == FORM_GUARDED) {
        return;
    }
    CLEANUP(buf_release) struct buf text = {0};
    buf_printf(&text, "the server cannot give its values: %s", s->unreadable);
    e->poison = arena_copy(arena, buf_slice(&text)).ptr;
    e->partial = s->form != FORM_ESCAPED;
}
