/* Prints dead letters: a line each, all that is known of them, or as JSON. */
#include "base/clock.h"
#include "base/shown.h"
#include "base/utf8.h"
#include "cli/dead_letters.h"
#include "cli/kit/json_text.h"
#include "daemon/letter_json.h"
#include "value/base64.h"

struct show {
    bool json, full;
    json_t *list;
    struct buf out;
    size_t count;
};

static void release(struct show *s)
{
    json_decref(s->list);
    buf_release(&s->out);
}

static const char *time_text(int64_t us, char out[CLOCK_RFC3339_SIZE])
{
    if (us == TIME_NONE) {
        return "-";
    }
    clock_format_rfc3339(us, out);
    return out;
}

static void add_field(struct buf *out, const char *name, struct slice text)
{
    buf_printf(out, "  %-16s", name);
    if (slice_is_null(text)) {
        buf_add_str(out, "(none)");
    } else if (utf8_valid(text)) {
        shown_escape(out, text, SHOWN_IN_LINE);
    } else {
        buf_add_str(out, "base64:");
        base64_add(out, text);
    }
    buf_add_char(out, '\n');
}

static void add_summary(struct buf *out, const struct store_dead_letter *d)
{
    char when[CLOCK_RFC3339_SIZE];
    buf_printf(out, "%lld  %s  ", (long long)d->id, time_text(d->last_failed_us, when));
    shown_escape(out, d->event_id, SHOWN_IN_LINE);
    buf_add_str(out, "  at ");
    shown_escape(out, d->position, SHOWN_IN_LINE);
    buf_printf(out, "  %lld %s  ", (long long)d->attempts,
               d->attempts == 1 ? "attempt" : "attempts");
    if (!store_letter_is_open(d)) {
        letters_add_end(out, d);
        buf_add_str(out, "  ");
    }
    if (d->edits > 0) {
        buf_add_str(out, "edited  ");
    }
    if (d->waiting > 0) {
        buf_printf(out, "%lld wait behind it  ", (long long)d->waiting);
    }
    shown_add(out, d->reason, SHOWN_IN_LINE);
    buf_add_char(out, '\n');
}

static void add_edit(struct buf *out, const struct store_letter_edit *e)
{
    const struct {
        unsigned field;
        const char *name;
        struct slice value;
    } all[] = {{STORE_LETTER_TOPIC, "topic now", e->topic},
               {STORE_LETTER_KEY, "key now", e->key},
               {STORE_LETTER_HEADERS, "headers now", e->headers},
               {STORE_LETTER_PAYLOAD, "payload now", e->payload}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (e->fields & all[i].field) {
            add_field(out, all[i].name, all[i].value);
        }
    }
}

static void add_full(struct buf *out, const struct store_dead_letter *d)
{
    char when[CLOCK_RFC3339_SIZE];
    buf_printf(out, "dead letter %lld", (long long)d->id);
    if (!store_letter_is_open(d)) {
        buf_add_str(out, ", ");
        letters_add_end(out, d);
    }
    buf_add_char(out, '\n');
    add_field(out, "event id", d->event_id);
    add_field(out, "position", d->position);
    add_field(out, "topic", d->topic);
    add_field(out, "key", d->key);
    buf_printf(out, "  %-16s%lld\n", "attempts", (long long)d->attempts);
    buf_printf(out, "  %-16s%lld\n", "wait behind it", (long long)d->waiting);
    add_field(out, "first failed", slice_from(time_text(d->first_failed_us, when)));
    add_field(out, "last failed", slice_from(time_text(d->last_failed_us, when)));
    add_field(out, "reason", d->reason);
    add_field(out, "code", d->code);
    add_field(out, "aggregatetype", d->aggregatetype);
    add_field(out, "aggregateid", d->aggregateid);
    add_field(out, "type", d->type);
    add_field(out, "created at", d->created_at);
    add_field(out, "headers", d->headers);
    add_field(out, "payload", d->payload);
    add_edit(out, &d->edit);
}

void letters_add_end(struct buf *out, const struct store_dead_letter *d)
{
    char when[CLOCK_RFC3339_SIZE];
    buf_printf(out, "%s at %s", d->state, time_text(d->closed_us, when));
}

static int each(void *ctx, const struct store_dead_letter *d)
{
    struct show *s = ctx;
    s->count++;
    if (s->json) {
        json_array_append_new(s->list, letter_json(d, s->full));
    } else if (s->full) {
        add_full(&s->out, d);
    } else {
        add_summary(&s->out, d);
    }
    return RESULT_DONE;
}

static int print(struct show *s, const struct letters *c)
{
    if (s->json) {
        json_t *all = json_object();
        json_object_set_new(all, "pipeline", json_string(c->p->name));
        if (*c->part) {
            json_object_set_new(all, "part", json_string(c->part));
        }
        json_object_set_new(all, "store", json_string(buf_str(&c->store.shown)));
        json_object_set(all, "dead_letters", s->list);
        return json_print(all);
    }
    if (s->count == 0) {
        bool filtered = c->key || c->type || c->reason || c->since_us != TIME_NONE;
        buf_printf(&s->out, "pipeline %s has no dead letters%s\n", c->shown,
                   filtered ? " of this kind" : "");
    }
    return cli_show(buf_slice(&s->out));
}

static int print_all(struct letters *c, bool full)
{
    CLEANUP(release) struct show show = {.json = c->json, .full = full, .list = json_array()};
    const struct store_letter_pick which = {.open = !c->all, .bare = !full};
    int rc = letters_each(c, which, each, &show);
    return rc ? rc : print(&show, c);
}

int letters_list(struct letters *c)
{
    return print_all(c, false);
}

int letters_show(struct letters *c)
{
    return print_all(c, true);
}
