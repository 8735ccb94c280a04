/* A row that the server cannot print is found by reading row by row, and given without what cannot
 * be printed: one bad value holds up nobody else, and its row is named. */
#include "source/outbox_postgres.h"

#include <stdio.h>
#include <string.h>

/* What an output function or a conversion fails with: bytes that are no text (22), a value larger
 * than a message (54, XX000), damaged pages (XX001), memory that one row needs (53200). */
static bool is_about_a_row(const char *sqlstate)
{
    static const char *const classes[] = {"22", "54", "XX", "53200"};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (strncmp(sqlstate, classes[i], strlen(classes[i])) == 0) {
            return true;
        }
    }
    return false;
}

/* A server that is short of memory may have some later, so that the row is tried as often as any
 * suspect. */
static bool may_pass(struct outbox_pg *s, const char *sqlstate)
{
    return strcmp(sqlstate, "53200") == 0 && ++s->fault.tries < s->env->attempts;
}

bool outbox_pg_narrow(struct outbox_pg *s, const struct error *err)
{
    struct outbox_pg_fault *f = &s->fault;
    bool page = s->sent == SENT_PAGE || s->sent == SENT_WINDOW;
    if (!page || !pg_alive(s->reader) || !is_about_a_row(err->code)) {
        return false;
    }
    if (f->singly == 0) {
        f->singly = s->page_limit;
        s->next_poll_us = 0;
        return true;
    }
    if (f->strip == OUTBOX_PG_STRIP_ALL || may_pass(s, err->code)) {
        return false; /* it was not this row's fault, or may not be */
    }
    if (f->strip++ == 0) {
        snprintf(f->text, sizeof f->text, "the server cannot print its row: %.*s (%.5s)",
                 (int)sizeof f->text - 50, err->text, err->code);
    }
    s->next_poll_us = 0;
    return true;
}

void outbox_pg_narrowed(struct outbox_pg *s, size_t rows)
{
    struct outbox_pg_fault *f = &s->fault;
    bool found = f->strip > 0 && rows > 0;
    f->singly = found || rows == 0 || f->singly == 0 ? 0 : f->singly - 1;
    f->strip = 0;
    f->tries = 0;
}

void outbox_pg_spoil(const struct outbox_pg *s, struct event *e, struct arena *arena)
{
    if (s->fault.strip > 0) {
        e->poison = arena_copy(arena, slice_from(s->fault.text)).ptr;
        e->partial = true;
    }
}
