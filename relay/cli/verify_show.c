/* Lines for people, members for programs; what is in both is in the same order. */
#include "cli/verify_show.h"

#include "base/shown.h"
#include "cli/cli.h"
#include "cli/kit/json_text.h"
#include <inttypes.h>

void verify_show_release(struct verify_show *s)
{
    json_decref(s->list);
    s->list = NULL;
}

int64_t verify_show_total(const struct verify_counts *n)
{
    int64_t total = 0;
    for (int i = 0; i < VERIFY_KINDS; i++) {
        total += n->differences[i];
    }
    return total;
}

static void keep(struct verify_show *s, const struct verify_difference *d)
{
    json_t *one = json_object();
    json_object_set_new(one, "what", json_string(verify_words[d->what]));
    json_set_bytes(one, "id", d->id);
    json_object_set_new(one, "position",
                        d->position == INT64_MIN ? json_null() : json_integer(d->position));
    json_set_bytes(one, "where", d->where[0] ? slice_from(d->where) : SLICE_NULL);
    s->list = s->list ? s->list : json_array();
    json_array_append_new(s->list, one);
}

int verify_show_difference(struct verify_show *s, const struct verify_difference *d)
{
    CLEANUP(buf_release) struct buf line = {0};
    if (s->shown == s->most) {
        return 0;
    }
    s->shown++;
    if (s->json) {
        keep(s, d);
        return 0;
    }
    buf_printf(&line, "%-10s  ", verify_words[d->what]);
    shown_add(&line, slice_is_null(d->id) ? SLICE_LITERAL("(no id)") : d->id, SHOWN_IN_LINE);
    if (d->position != INT64_MIN) {
        buf_printf(&line, "  position %" PRId64, d->position);
    }
    if (d->where[0]) {
        buf_printf(&line, "  %s", d->where);
    }
    buf_add_char(&line, '\n');
    return cli_show(buf_slice(&line));
}

static void add_count(struct buf *out, int64_t n, const char *what)
{
    if (n > 0) {
        buf_printf(out, "  %" PRId64 " %s\n", n, what);
    }
}

static int show_text(const struct verify_show *s, const struct verify_counts *n)
{
    CLEANUP(buf_release) struct buf out = {0};
    int64_t hidden = verify_show_total(n) - s->shown;
    if (hidden > 0) {
        buf_printf(&out, "... and %" PRId64 " more (--show)\n", hidden);
    }
    buf_printf(&out, "%s: %" PRId64 " rows, %" PRId64 " events %s: ", s->pipeline, n->rows,
               n->copies, s->against);
    for (int i = 0; i < VERIFY_KINDS; i++) {
        buf_printf(&out, "%s%" PRId64 " %s", i ? ", " : "", n->differences[i], verify_words[i]);
    }
    buf_add_str(&out, verify_show_total(n) ? "\n" : "; equal\n");
    add_count(&out, n->letters, "rows are or were dead letters, or wait behind one");
    add_count(&out, n->replayed, "events are there again because a replay has sent them");
    add_count(&out, n->outside, "events lie outside the range, or came while it was compared");
    add_count(&out, n->not_comparable,
              s->changes ? "rows have a value that no event shows, or events are about no row"
                         : "events cannot be compared: rows of their age were removed from the "
                           "table");
    if (!s->digests) {
        buf_add_str(&out, "  payloads were not compared: an inbox has only ids\n");
    }
    return cli_show(buf_slice(&out));
}

static int show_json(struct verify_show *s, const struct verify_counts *n)
{
    json_t *list = s->list ? s->list : json_array();
    s->list = NULL;
    json_t *o = json_object();
    json_object_set_new(o, "pipeline", json_string(s->pipeline));
    json_set_bytes(o, "against", slice_from(s->against));
    json_object_set_new(o, "equal", json_boolean(verify_show_total(n) == 0));
    json_object_set_new(o, "rows", json_integer(n->rows));
    json_object_set_new(o, "found", json_integer(n->copies));
    for (int i = 0; i < VERIFY_KINDS; i++) {
        json_object_set_new(o, verify_words[i], json_integer(n->differences[i]));
    }
    json_object_set_new(o, "dead_letters", json_integer(n->letters));
    json_object_set_new(o, "replayed", json_integer(n->replayed));
    json_object_set_new(o, "outside", json_integer(n->outside));
    json_object_set_new(o, "not_comparable", json_integer(n->not_comparable));
    json_object_set_new(o, "payloads_compared", json_boolean(s->digests));
    json_object_set_new(o, "differences", list);
    return json_print(o);
}

int verify_show_summary(struct verify_show *s, const struct verify_counts *n)
{
    return s->json ? show_json(s, n) : show_text(s, n);
}
