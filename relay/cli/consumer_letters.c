/* `dead-letters --consumer`: what a consumer could not apply. It is applied by this process, in the
 * transactions in which a consumer would do it. */
#include "cli/consumer_letters.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/poll_set.h"
#include "base/shown.h"
#include "cli/kit/json_text.h"
#include "db/pg.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct work {
    struct consumer_letters k;
    json_t *list;
    int64_t *ids; /* the letters to be dealt with */
    size_t count, still_open;
    bool full, found;
};

static void release(struct work *w)
{
    apply_free(w->k.apply);
    cli_audit_release(&w->k.audit);
    buf_release(&w->k.out);
    json_decref(w->list);
    free(w->ids);
}

/* Calls `each` for what the command means. Returns the exit code after a message. */
static int each_letter(struct work *w, bool closed, bool bare, kept_letter_each *each)
{
    const struct letters *c = w->k.c;
    char since[CLOCK_RFC3339_SIZE];
    struct error err = {0};
    struct letters_pick which = {.all = closed, .bare = bare};
    if (c->ids_count == 0) {
        which.key = c->key;
        which.reason = c->reason;
        if (c->since_us != TIME_NONE) {
            clock_format_rfc3339(c->since_us, since);
            which.since = since;
        }
        return kept_letters_list(w->k.apply, &which, each, w, &err) ? cli_fail(&err) : 0;
    }
    for (size_t i = 0; i < c->ids_count; i++) {
        which.id = c->ids[i];
        w->found = false;
        if (kept_letters_list(w->k.apply, &which, each, w, &err)) {
            return cli_fail(&err);
        }
        if (!w->found) {
            return cli_error(EXIT_CODE_USAGE,
                             "consumer %s has no dead letter %" PRId64
                             "; `dead-letters list` shows them",
                             w->k.conf->name, c->ids[i]);
        }
    }
    return 0;
}

/* --- list and show --- */

static void add_field(struct buf *out, const char *name, struct slice text)
{
    buf_printf(out, "  %-16s", name);
    if (slice_is_null(text)) {
        buf_add_str(out, "(none)");
    } else {
        shown_escape(out, text, SHOWN_IN_LINE);
    }
    buf_add_char(out, '\n');
}

static void add_end(struct buf *out, const struct kept_letter *l)
{
    buf_printf(out, "%.*s at %.*s", SLICE_FMT(l->state), SLICE_FMT(l->closed));
}

static void add_full(struct buf *out, const struct kept_letter *l)
{
    buf_printf(out, "dead letter %" PRId64, l->id);
    if (!consumer_letter_is_open(l)) {
        buf_add_str(out, ", ");
        add_end(out, l);
    }
    buf_add_char(out, '\n');
    add_field(out, "event id", l->event_id);
    buf_printf(out, "  %-16s%.*s, %" PRId64 "\n", "came from", SLICE_FMT(l->stream), l->number);
    add_field(out, "key", l->key);
    buf_printf(out, "  %-16s%" PRId64 "\n", "wait behind it", l->waiting);
    add_field(out, "failed", l->created);
    add_field(out, "reason", l->reason);
    add_field(out, "event", l->event);
    if (!slice_is_null(l->edited)) {
        add_field(out, "event now", l->edited);
    }
}

static void add_summary(struct buf *out, const struct kept_letter *l)
{
    buf_printf(out, "%" PRId64 "  %.*s  ", l->id, SLICE_FMT(l->created));
    shown_escape(out, l->event_id, SHOWN_IN_LINE);
    buf_printf(out, "  from %.*s, %" PRId64 "  ", SLICE_FMT(l->stream), l->number);
    if (!consumer_letter_is_open(l)) {
        add_end(out, l);
        buf_add_str(out, "  ");
    }
    if (l->waiting > 0) {
        buf_printf(out, "%" PRId64 " wait behind it  ", l->waiting);
    }
    shown_escape(out, l->reason, SHOWN_IN_LINE);
    buf_add_char(out, '\n');
}

static void add_json(json_t *o, const char *name, struct slice v)
{
    json_object_set_new(o, name, slice_is_null(v) ? json_null() : json_stringn(v.ptr, v.len));
}

static json_t *json_of(const struct kept_letter *l, bool full)
{
    json_t *o = json_object();
    json_object_set_new(o, "id", json_integer(l->id));
    add_json(o, "state", l->state);
    add_json(o, "event_id", l->event_id);
    add_json(o, "stream", l->stream);
    json_object_set_new(o, "number", json_integer(l->number));
    add_json(o, "key", l->key);
    json_object_set_new(o, "waiting", json_integer(l->waiting));
    add_json(o, "failed_at", l->created);
    add_json(o, "closed_at", l->closed);
    add_json(o, "reason", l->reason);
    if (full) {
        add_json(o, "event", l->event);
        add_json(o, "edited", l->edited);
    }
    return o;
}

static void show_one(void *ctx, const struct kept_letter *l)
{
    struct work *w = ctx;
    w->found = true;
    w->count++;
    if (w->k.c->json) {
        json_array_append_new(w->list, json_of(l, w->full));
    } else if (w->full) {
        add_full(&w->k.out, l);
    } else {
        add_summary(&w->k.out, l);
    }
}

static int show(struct work *w, bool full)
{
    const struct letters *c = w->k.c;
    w->full = full;
    w->list = json_array();
    int rc = each_letter(w, c->all, !full, show_one);
    if (rc) {
        return rc;
    }
    if (c->json) {
        json_t *all = json_object();
        json_object_set_new(all, "consumer", json_string(w->k.conf->name));
        json_object_set(all, "dead_letters", w->list);
        return json_print(all);
    }
    if (w->count == 0) {
        bool filtered = c->key || c->reason || c->since_us != TIME_NONE;
        buf_printf(&w->k.out, "consumer %s has no dead letters%s\n", w->k.conf->name,
                   filtered ? " of this kind" : "");
    }
    return cli_show(buf_slice(&w->k.out));
}

/* --- retry and drop --- */

/* Notes what is to be dealt with; says of another that nothing is to be done. */
static void sort(void *ctx, const struct kept_letter *l)
{
    struct work *w = ctx;
    w->found = true;
    if (!consumer_letter_is_open(l) && !l->parks) {
        buf_printf(&w->k.out, "%" PRId64 " was ", l->id);
        add_end(&w->k.out, l);
        buf_add_str(&w->k.out, ": nothing to do\n");
        return;
    }
    w->ids = memory_need(reallocarray(w->ids, w->count + 1, sizeof *w->ids));
    w->ids[w->count++] = l->id;
}

/* A deadlock with a consumer, or a lock that it has, goes by itself. True: try it once more. */
static bool worth_another(const struct error *err, int *tries)
{
    enum { TRIES = 5 };
    struct poll_set set;
    if (err->class != ERROR_RETRY || ++*tries >= TRIES) {
        return false;
    }
    poll_set_clear(&set);
    poll_set_deadline(&set, clock_mono_us() + *tries * 200 * US_PER_MS);
    poll_set_wait(&set);
    return true;
}

static void note(struct work *w, int64_t id, bool retry)
{
    CLEANUP(buf_release) struct buf before = {0}, after = {0};
    audit_letter(&before, id, STORE_LETTER_OPEN);
    audit_letter(&after, id, retry ? STORE_LETTER_RETRIED : STORE_LETTER_DROPPED);
    cli_audit_write(&w->k.audit, retry ? "dead_letter_retry" : "dead_letter_drop", w->k.conf->name,
                    &before, &after);
}

static int close_letter(struct work *w, int64_t id, bool retry, struct error *err)
{
    bool done = false;
    int tries = 0, rc;
    do {
        rc = retry ? kept_letter_retry(w->k.apply, id, &done, err)
                   : kept_letter_drop(w->k.apply, id, &done, err);
    } while (rc && worth_another(err, &tries));
    if (rc) {
        return rc;
    }
    if (done) {
        note(w, id, retry);
    }
    buf_printf(&w->k.out, "%" PRId64 " %s", id,
               !done   ? "was dealt with before"
               : retry ? STORE_LETTER_RETRIED
                       : STORE_LETTER_DROPPED);
    return RESULT_DONE;
}

static int release_behind(struct work *w, int64_t id, struct error *err)
{
    int64_t applied = 0, more = 0;
    bool stopped = false;
    int tries = 0, rc;
    do {
        rc = kept_letter_release(w->k.apply, id, &more, &stopped, err);
        applied += more;
    } while (rc && worth_another(err, &tries));
    if (applied > 0) {
        buf_printf(&w->k.out, ", then applied %" PRId64 " that waited behind it", applied);
    }
    if (stopped) {
        buf_add_str(&w->k.out, "; the next of them cannot be applied, and is a dead letter now");
        w->still_open++;
    }
    return rc;
}

/* Poison is said, and the next letter has its turn. What fails as a whole (the database) ends the
 * command. */
static int order_one(struct work *w, int64_t id, bool retry)
{
    struct error err = {0};
    int rc = close_letter(w, id, retry, &err);
    if (rc && err.class == ERROR_POISON) {
        w->still_open++;
        buf_printf(&w->k.out, "%" PRId64 " stays open: %s\n", id, err.text);
        return 0;
    }
    if (!rc) {
        rc = release_behind(w, id, &err);
        buf_add_char(&w->k.out, '\n');
    }
    if (rc) {
        int failed = cli_show(buf_slice(&w->k.out));
        buf_clear(&w->k.out);
        rc = cli_fail(&err);
        return failed ? failed : rc;
    }
    return 0;
}

static int order(struct work *w, bool retry)
{
    struct error err = {0};
    int rc = each_letter(w, false, true, sort);
    if (rc) {
        return rc;
    }
    if (w->count == 0) {
        if (w->k.out.len == 0) {
            buf_printf(&w->k.out,
                       "consumer %s has no open dead letters of this kind: nothing to do\n",
                       w->k.conf->name);
        }
        return cli_show(buf_slice(&w->k.out));
    }
    if (!w->k.c->yes) {
        return letters_say_order(w->k.c, w->count, &w->k.out);
    }
    if (cli_audit_open(&w->k.audit, w->k.c->config, &err)) {
        return cli_fail(&err);
    }
    for (size_t i = 0; i < w->count && !rc; i++) {
        rc = order_one(w, w->ids[i], retry);
    }
    rc = rc ? rc : cli_show(buf_slice(&w->k.out));
    rc = rc || w->still_open == 0 ? rc : EXIT_CODE_GAVE_UP;
    return cli_audit_end(&w->k.audit, rc);
}

/* --- all of them --- */

/* The database that is used is named on stderr: each line on stdout is one event. */
static void name_inbox(const char *url)
{
    CLEANUP(buf_release) struct buf shown = {0};
    if (pg_url(url)) {
        pg_redact(url, &shown);
    } else {
        buf_add_str(&shown, url);
    }
    fprintf(stderr, "inbox: %s\n", buf_str(&shown));
}

int consumer_letters(struct letters *c)
{
    CLEANUP(release) struct work w = {.k.c = c};
    struct error err = {0};
    int rc = cli_pick_consumer(c->config, c->consumer, &w.k.conf);
    if (rc) {
        return rc;
    }
    bool retry = strcmp(c->verb, "retry") == 0, drop = strcmp(c->verb, "drop") == 0;
    if (apply_new_for_letters(w.k.conf, !retry && !drop, &w.k.counts, &w.k.apply, &err)) {
        return cli_fail(&err);
    }
    name_inbox(w.k.conf->inbox.url);
    if (retry || drop) {
        return order(&w, retry);
    }
    return strcmp(c->verb, "edit") == 0 ? consumer_letters_edit(&w.k)
                                        : show(&w, strcmp(c->verb, "show") == 0);
}
