/* Times become microseconds when the replay begins: "2h ago" must mean the same when it goes on. */
#include "cli/replay_plan.h"

#include "base/clock.h"
#include "base/memory.h"
#include "cli/kit/shell_text.h"
#include "cli/kit/when.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { CHOSEN_ID_MAX = 32 };

void replay_plan_release(struct replay_plan *p)
{
    buf_release(&p->words);
    buf_release(&p->sink);
    buf_release(&p->frontier);
    json_decref(p->stored);
    free(p->ids);
    *p = (struct replay_plan){0};
}

void replay_plan_move(struct replay_plan *to, struct replay_plan *from)
{
    replay_plan_release(to);
    *to = *from;
    *from = (struct replay_plan){0};
}

bool replay_words_any(const struct replay_words *w)
{
    return w->from_time || w->from_position || w->to_time || w->to_position || w->ids.count ||
           w->key;
}

/* --- from the command line --- */

void replay_words_add(const struct replay_words *w, struct buf *out)
{
    shell_add_option(out, "from-time", w->from_time);
    shell_add_option(out, "from-position", w->from_position);
    shell_add_option(out, "to-time", w->to_time);
    shell_add_option(out, "to-position", w->to_position);
    for (size_t i = 0; i < w->ids.count; i++) {
        shell_add_option(out, "id", w->ids.items[i]);
    }
    shell_add_option(out, "key", w->key);
}

static int read_time(const struct replay_words *w, const char *name, const char *text, int64_t *ret)
{
    return text ? cli_when(w->command, name, text, ret) : 0;
}

static int read_position(const struct replay_words *w, const char *name, const char *text,
                         int64_t *ret)
{
    char *end;
    if (!text || strcmp(text, "beginning") == 0) {
        return 0;
    }
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (errno || *end || end == text || text[0] == ' ' || text[0] == '+') {
        return args_mistake(w->command,
                            "--%s needs the position of an event, a number (or, to begin with, "
                            "`beginning`), not \"%s\"",
                            name, text);
    }
    *ret = v;
    return 0;
}

static int check_words(const struct replay_words *w)
{
    if (w->from_time && w->from_position) {
        return args_mistake(w->command, "either --from-time or --from-position, not both");
    }
    if (w->to_time && w->to_position) {
        return args_mistake(w->command, "either --to-time or --to-position, not both");
    }
    if (w->to_position && strcmp(w->to_position, "beginning") == 0) {
        return args_mistake(w->command, "--to-position needs the position of an event");
    }
    bool more = w->from_time || w->from_position || w->to_time || w->to_position || w->key;
    if (w->ids.count && more) {
        return args_mistake(w->command, "--id names the events; leave the other bounds out");
    }
    return 0;
}

int replay_plan_sink(struct replay_plan *p, const struct replay_words *w)
{
    shell_add_option(&p->sink, "sink", w->sink);
    shell_add_option(&p->sink, "sink-config", w->sink_config);
    return w->sink && w->sink_config
               ? args_mistake(w->command, "either --sink or --sink-config, not both")
               : 0;
}

int replay_words_range(const struct replay_words *w, struct source_range *r)
{
    *r = SOURCE_RANGE_ALL;
    r->ids = w->ids.items;
    r->ids_count = w->ids.count;
    r->key = w->key;
    int rc = check_words(w);
    rc = rc ? rc : read_time(w, "from-time", w->from_time, &r->from_us);
    rc = rc ? rc : read_time(w, "to-time", w->to_time, &r->to_us);
    rc = rc ? rc : read_position(w, "from-position", w->from_position, &r->from);
    rc = rc ? rc : read_position(w, "to-position", w->to_position, &r->to);
    if (rc == 0 && (r->from > r->to || r->from_us > r->to_us)) {
        rc = args_mistake(w->command, "the range ends before it begins");
    }
    return rc;
}

int replay_plan_read(struct replay_plan *p, const struct replay_words *w)
{
    if (!w->from_time && !w->from_position && !w->ids.count && !w->key) {
        return args_mistake(w->command, "say what to send again: --from-time, --from-position, "
                                        "--id or --key");
    }
    int rc = replay_words_range(w, &p->range);
    replay_words_add(w, &p->words);
    return rc ? rc : replay_plan_sink(p, w);
}

int replay_plan_name(struct replay_plan *p, const struct cli_command *command, const char *chosen)
{
    if (chosen) {
        size_t n = strspn(chosen, "abcdefghijklmnopqrstuvwxyz0123456789_-");
        if (chosen[n] || n > CHOSEN_ID_MAX) {
            return args_mistake(command, "--replay-id \"%s\" must be 1 to %d of a-z, 0-9, _ and -",
                                chosen, CHOSEN_ID_MAX);
        }
        snprintf(p->id, sizeof p->id, "%s", chosen);
        return 0;
    }
    unsigned char random[3] = {0};
    time_t now = (time_t)(clock_wall_us() / US_PER_SECOND);
    struct tm utc;
    gmtime_r(&now, &utc);
    ssize_t n UNUSED = getrandom(random, sizeof random, 0);
    size_t used = strftime(p->id, sizeof p->id, "%Y%m%dt%H%M%S", &utc);
    snprintf(p->id + used, sizeof p->id - used, "-%02x%02x%02x", random[0], random[1], random[2]);
    return 0;
}

/* --- in the store --- */

void replay_plan_text(const struct replay_plan *p, struct buf *out)
{
    const struct source_range *r = &p->range;
    json_t *ids = json_array();
    for (size_t i = 0; i < r->ids_count; i++) {
        json_array_append_new(ids, json_string(r->ids[i]));
    }
    json_t *j = json_pack("{s:I, s:I, s:I, s:I, s:o, s:s*, s:s, s:I, s:s, s:s}", "from",
                          (json_int_t)r->from, "to", (json_int_t)r->to, "from_us",
                          (json_int_t)r->from_us, "to_us", (json_int_t)r->to_us, "ids", ids, "key",
                          r->key, "frontier", buf_str(&p->frontier), "total", (json_int_t)p->total,
                          "words", buf_str(&p->words), "sink", buf_str(&p->sink));
    char *text = json_dumps(j, JSON_COMPACT);
    buf_add_str(out, text ? text : "");
    free(text);
    json_decref(j);
}

int replay_plan_parse(struct replay_plan *p, const struct store_replay *row, struct error *err)
{
    json_int_t from, to, from_us, to_us, total;
    const char *key = NULL, *frontier, *words, *sink;
    json_t *ids;
    json_error_t ignored;
    p->stored = json_loadb(row->asked.ptr, row->asked.len, 0, &ignored);
    if (!p->stored ||
        json_unpack(p->stored, "{s:I, s:I, s:I, s:I, s:o, s?:s, s:s, s:I, s:s, s:s}", "from", &from,
                    "to", &to, "from_us", &from_us, "to_us", &to_us, "ids", &ids, "key", &key,
                    "frontier", &frontier, "total", &total, "words", &words, "sink", &sink)) {
        return error_set(err, ERROR_CONFIG, "replay",
                         "replay %s was begun by another version, which alone can go on with it",
                         row->id);
    }
    snprintf(p->id, sizeof p->id, "%s", row->id);
    buf_add_str(&p->frontier, frontier);
    buf_add_str(&p->words, words);
    buf_add_str(&p->sink, sink);
    p->total = total;
    p->ids = memory_need(calloc(json_array_size(ids) + 1, sizeof *p->ids));
    for (size_t i = 0; i < json_array_size(ids); i++) {
        p->ids[i] = memory_need((void *)(uintptr_t)json_string_value(json_array_get(ids, i)));
    }
    p->range = (struct source_range){.from = from,
                                     .to = to,
                                     .from_us = from_us,
                                     .to_us = to_us,
                                     .ids = p->ids,
                                     .ids_count = json_array_size(ids),
                                     .key = key,
                                     .frontier = buf_str(&p->frontier)};
    return RESULT_DONE;
}
