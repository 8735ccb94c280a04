/* The error of a call. It is kept for each thread, so that threads need no lock and a connection
 * needs no place for it. */
#include "claim.h"

#include "commitrelay_inbox.h"
#include <stdio.h>
#include <string.h>

static _Thread_local char text[512];

const char *cr_inbox_error(void)
{
    return text;
}

const char *cr_inbox_version(void)
{
    return CR_INBOX_VERSION;
}

/* libpq ends its messages with a line end, and some servers' messages have several lines. */
static void flatten(char *s)
{
    char *end = s;
    for (; *s; s++) {
        if (*s == '\n' || *s == '\r' || *s == '\t') {
            *s = ' ';
        }
        if (*s != ' ') {
            end = s + 1;
        }
    }
    *end = '\0';
}

int cr_inbox_fail(const char *what, const char *cause, const char *remedy)
{
    snprintf(text, sizeof text, "%s: %s", what, cause);
    flatten(text);
    size_t used = strlen(text);
    snprintf(text + used, sizeof text - used, "%s%s", remedy[0] ? "; " : "", remedy);
    return -1;
}

int cr_inbox_begin(const char *consumer, const char *event_id)
{
    text[0] = '\0';
    if (!consumer || !consumer[0]) {
        return cr_inbox_fail("inbox claim", "the consumer has no name",
                             "give the name that all its processes share");
    }
    if (!event_id || !event_id[0]) {
        return cr_inbox_fail("inbox claim", "the event has no id",
                             "take it from the message's header id, or the field id of its JSON");
    }
    return 0;
}

int cr_inbox_outside(void)
{
    return cr_inbox_fail("inbox claim", "no transaction is open on this connection",
                         "BEGIN before the claim and COMMIT after the work: a claim that is "
                         "committed alone loses the event if the work is not done");
}
