/* Errors that come back at the same place of the stream. The first time it may have been the
 * network, so the source connects again. When the same error comes at the same place again, another
 * try will not help, and the operator is told which transaction it is. */
#include "cdc/internal.h"

#include "cdc/stream/lsn.h"
#include <stdio.h>
#include <string.h>

enum { REFUSED_MOST = 3 };

/* How often in a row this text came at this place, this time included. */
static unsigned times_here(struct cdc_source *s, uint64_t lsn, const char *text)
{
    struct cdc_fault *f = &s->fault;
    bool again = f->times > 0 && f->lsn == lsn && f->ordinal == s->txn.ordinal &&
                 strncmp(f->text, text, sizeof f->text - 1) == 0;
    f->times = again ? f->times + 1 : 1;
    f->lsn = lsn;
    f->ordinal = s->txn.ordinal;
    snprintf(f->text, sizeof f->text, "%.*s", (int)sizeof f->text - 1, text);
    return f->times;
}

int cdc_senseless(struct cdc_source *s, struct error *err)
{
    uint64_t lsn = s->txn.open ? s->txn.commit : s->txn.start;
    char at[LSN_TEXT_SIZE], text[200];
    lsn_format(lsn, at);
    snprintf(text, sizeof text, "%.*s", (int)sizeof text - 1, err->text);
    bool again = times_here(s, lsn, text) > 1; /* the first time the network may have damaged it */
    return error_set(
        err, again ? ERROR_FATAL : ERROR_RETRY, "pgoutput",
        "the stream of slot \"%s\" makes no sense behind change %llu of the transaction committed at %s: %s%s",
        s->slot, (unsigned long long)s->txn.ordinal, at, text,
        again
            ? "; the second time at this place, so asking again will not help: please report it with the server's version"
            : "");
}

/* Is it an error of the decoding itself (out of memory, a bad value, a function that fails)? Errors
 * of a server that shuts down, is full or has lost the slot are not: they have their own handling.
 */
static bool is_about_data(const char *sqlstate)
{
    static const char *const classes[] = {"XX", "54", PG_OUT_OF_MEMORY, "22", "21", "38",
                                          "39", "P0"};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (strncmp(sqlstate, classes[i], strlen(classes[i])) == 0) {
            return true;
        }
    }
    return false;
}

/* "behind change 3 of the transaction committed at 0/15D1F28, after one of public.t" */
static void tell_place(const struct cdc_source *s, char *out, size_t size)
{
    const struct change_table *t = s->last_table;
    char at[LSN_TEXT_SIZE];
    lsn_format(s->txn.open ? s->txn.commit : s->txn.start, at);
    if (!s->txn.open) {
        snprintf(out, size, "in the first transaction behind %s that it would send", at);
        return;
    }
    int n = snprintf(out, size, "behind change %llu of the transaction committed at %s",
                     (unsigned long long)s->txn.ordinal, at);
    if (t && n > 0 && (size_t)n < size) {
        snprintf(out + n, size - (size_t)n, " (the table it named last is %.*s.%.*s)",
                 SLICE_FMT(t->schema), SLICE_FMT(t->name));
    }
}

int cdc_refused(struct cdc_source *s, struct error *err)
{
    if (!is_about_data(err->code)) {
        return RESULT_ERROR;
    }
    struct error why = *err;
    char place[320], behind[LSN_TEXT_SIZE] = "LSN";
    bool again =
        times_here(s, s->txn.open ? s->txn.commit : s->txn.start, why.text) >= REFUSED_MOST;
    tell_place(s, place, sizeof place);
    if (s->txn.open) {
        lsn_format(s->txn.commit + 1, behind);
    }
    error_exit(err, again ? ERROR_CONFIG : ERROR_RETRY, EXIT_CODE_GAVE_UP, "postgres",
               "the server cannot send what comes %s: %.400s%s", place, why.text,
               again ? "" : "; it is asked again");
    if (again) {
        size_t used = strlen(err->text);
        snprintf(
            err->text + used, sizeof err->text - used,
            "; each time anew. Mend what it needs on the server (memory, a function, the encoding), or give that transaction up: `position set %s --yes`%s",
            behind,
            s->txn.open ? "" : " with an LSN behind it (pg_waldump shows its commit), or `now`");
    }
    return error_code(err, why.code);
}
