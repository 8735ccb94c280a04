/* Opens the store as a command would, asks it once, and closes it: the console is asked seldom, and
 * a connection that is kept would count against the server's limit. */
#include "daemon/console/stored.h"

#include "base/clock.h"
#include "daemon/assembly.h"
#include "daemon/console/answer.h"
#include "daemon/json_value.h"
#include "daemon/letter_json.h"
#include "daemon/letter_object.h"
#include "daemon/membership.h"
#include "daemon/registry.h"

enum {
    OK = 200,
    BAD = 400,
    GONE = 404,
    CONFLICT = 409,
    FAILED = 500,
    NOT_YET = 501,
    UNAVAILABLE = 503
};

static const int64_t HISTORY_SHOWN_US = 24 * 3600 * US_PER_SECOND;

struct open_store {
    const struct stored_ask *ask;
    const struct store_ops *ops;
    void *store;
    struct buf url;
    struct store_env env;
};

static void release(struct open_store *s)
{
    if (s->store) {
        s->ops->close(s->store);
    }
    buf_release(&s->url);
}

static int failed(struct buf *out, const struct error *err)
{
    return answer_error(out, err->class == ERROR_RETRY ? UNAVAILABLE : FAILED, err->text);
}

/* --- dead letters --- */

struct listing {
    const struct stored_ask *ask;
    json_t *list;
    bool more;
};

/* Members that hold what events hold. */
static void hide(json_t *letter)
{
    json_object_del(letter, "key_base64");
    json_object_set_new(letter, "key", json_null());
}

static int add_letter(void *ctx, const struct store_dead_letter *d)
{
    struct listing *l = ctx;
    const struct stored_ask *a = l->ask;
    if (json_array_size(l->list) >= (size_t)a->limit) {
        l->more = true;
        return 1;
    }
    json_t *letter = letter_json(d, false);
    if (!a->sees) {
        hide(letter);
    }
    json_array_append_new(l->list, letter);
    return RESULT_DONE;
}

static int letters(struct open_store *s, struct buf *out)
{
    const struct store_letter_pick which = {
        .after = s->ask->after, .open = !s->ask->all, .bare = true};
    struct listing l = {.ask = s->ask, .list = json_array()};
    struct error err = {0};
    if (s->ops->dead_letter_list(s->store, which, add_letter, &l, &err) == RESULT_ERROR) {
        json_decref(l.list);
        return failed(out, &err);
    }
    json_t *all = json_object();
    json_object_set_new(all, "dead_letters", l.list);
    json_object_set_new(all, "more", json_boolean(l.more));
    return answer_json(out, OK, all);
}

/* What a retry would send now, as texts: the numbers of a browser could not hold those of the
 * headers. */
static json_t *now_json(const struct store_dead_letter *d)
{
    const struct store_dead_letter now = store_letter_as_edited(d);
    json_t *j = json_object();
    json_object_set_new(j, "topic", json_text(now.topic));
    json_set_bytes(j, "key", now.key);
    json_object_set_new(j, "headers", json_text(now.headers));
    json_set_bytes(j, "payload", now.payload);
    return j;
}

static int keep_letter(void *ctx, const struct store_dead_letter *d)
{
    json_t **ret = ctx;
    *ret = letter_json(d, true);
    json_object_set_new(*ret, "now", now_json(d));
    return RESULT_DONE;
}

static int no_letter(const struct open_store *s, struct buf *out)
{
    CLEANUP(buf_release) struct buf text = {0};
    buf_printf(&text, "pipeline %s has no dead letter %lld", s->ask->pipeline->name,
               (long long)s->ask->route.letter);
    return answer_error(out, GONE, buf_str(&text));
}

static int letter(struct open_store *s, struct buf *out)
{
    json_t *found = NULL;
    struct error err = {0};
    if (s->ops->dead_letter_list(s->store, store_letter_number(s->ask->route.letter), keep_letter,
                                 &found, &err)) {
        json_decref(found);
        return failed(out, &err);
    }
    return found ? answer_json(out, OK, found) : no_letter(s, out);
}

/* --- parked keys --- */

static int add_parked(void *ctx, const struct store_parked *k)
{
    struct listing *l = ctx;
    json_t *one = json_object();
    if (l->ask->sees) {
        json_set_bytes(one, "key", k->key);
    } else {
        json_object_set_new(one, "key", json_null());
    }
    json_object_set_new(one, "dead_letter", k->letter ? json_integer(k->letter) : json_null());
    json_object_set_new(one, "waiting", json_integer(k->waiting));
    json_array_append_new(l->list, one);
    l->more = json_array_size(l->list) >= (size_t)l->ask->limit;
    return l->more;
}

static int parked(struct open_store *s, struct buf *out)
{
    struct listing l = {.ask = s->ask, .list = json_array()};
    struct error err = {0};
    if (s->ops->parked_list(s->store, add_parked, &l, &err) == RESULT_ERROR) {
        json_decref(l.list);
        return failed(out, &err);
    }
    json_t *all = json_object();
    json_object_set_new(all, "parked_keys", l.list);
    json_object_set_new(all, "more", json_boolean(l.more));
    return answer_json(out, OK, all);
}

/* --- positions --- */

static json_t *position_of(const struct stored_ask *a, struct slice cursor)
{
    CLEANUP(buf_release) struct buf where = {0};
    const struct source_ops *source = registry_source(a->pipeline->source->name);
    if (cursor.len > 0 && source->describe) {
        source->describe(cursor, &where);
    }
    return json_text_or_null(buf_str(&where));
}

static int add_position(void *ctx, int64_t at_us, struct slice cursor)
{
    struct listing *l = ctx;
    json_t *line = json_object();
    json_object_set_new(line, "time", json_time(at_us));
    json_object_set_new(line, "position", position_of(l->ask, cursor));
    json_array_append_new(l->list, line);
    return RESULT_DONE;
}

/* What it was asked for may name a key. */
static int add_replay(void *ctx, const struct store_replay *r)
{
    struct listing *l = ctx;
    json_t *one = json_object();
    json_object_set_new(one, "id", json_text_or_null(r->id));
    json_object_set_new(one, "asked", l->ask->sees ? json_text(r->asked) : json_null());
    json_object_set_new(one, "delivered", json_integer((json_int_t)r->delivered));
    json_object_set_new(one, "started_at", json_time(r->started_us));
    json_object_set_new(one, "saved_at", json_time(r->saved_us));
    json_array_append_new(l->list, one);
    return RESULT_DONE;
}

static int positions(struct open_store *s, struct buf *out)
{
    struct store_position at = {.saved_at_us = TIME_NONE};
    struct listing l = {.ask = s->ask, .list = json_array()};
    struct listing replays = {.ask = s->ask, .list = json_array()};
    struct error err = {0};
    int rc = s->ops->observe(s->store, &at, &err);
    if (!rc && !at.absent) {
        rc = s->ops->history_list(s->store, clock_wall_us() - HISTORY_SHOWN_US, add_position, &l,
                                  &err) ||
             s->ops->replay_list(s->store, add_replay, &replays, &err);
    }
    if (rc) {
        buf_release(&at.cursor);
        json_decref(l.list);
        json_decref(replays.list);
        return failed(out, &err);
    }
    json_t *all = json_object();
    json_object_set_new(all, "position", position_of(s->ask, buf_slice(&at.cursor)));
    json_object_set_new(all, "delivered", json_integer((json_int_t)at.delivered));
    json_object_set_new(all, "epoch", json_integer(at.epoch));
    json_object_set_new(all, "saved_at", json_time(at.saved_at_us));
    json_object_set_new(all, "history", l.list);
    json_object_set_new(all, "replays", replays.list);
    buf_release(&at.cursor);
    return answer_json(out, OK, all);
}

/* --- edit --- */

struct editing {
    struct arena arena;
    struct store_dead_letter was; /* the original; its texts are in the arena */
    struct letter_values now;
    bool found;
};

static void editing_release(struct editing *e)
{
    arena_release(&e->arena);
}

static int take(void *ctx, const struct store_dead_letter *d)
{
    struct editing *e = ctx;
    e->was = *d;
    e->was.topic = arena_copy(&e->arena, d->topic);
    e->was.key = arena_copy(&e->arena, d->key);
    e->was.headers = arena_copy(&e->arena, d->headers);
    e->was.payload = arena_copy(&e->arena, d->payload);
    e->now = letter_values_of(d, &e->arena);
    e->found = true;
    return RESULT_DONE;
}

static void note(const struct stored_ask *a, const struct editing *e, unsigned fields)
{
    CLEANUP(buf_release) struct buf before = {0}, after = {0};
    letter_edit_facts(&before, e->was.id, e->was.edit.fields, e->was.edits);
    letter_edit_facts(&after, e->was.id, fields, e->was.edits + 1);
    const struct audit_line line = {.event = "dead_letter_edit",
                                    .pipeline = a->pipeline->name,
                                    .who = a->who,
                                    .before = &before,
                                    .after = &after};
    audit_write(a->audit, &line);
}

static int store_edit(struct open_store *s, const struct editing *e, struct buf *out)
{
    struct store_letter_edit edit = letter_values_difference(&e->was, &e->now);
    struct error err = {0};
    bool done = false;
    if (s->ops->dead_letter_edit(s->store, e->was.id, e->was.edits, &edit, &done, &err)) {
        return failed(out, &err);
    }
    if (!done) {
        return answer_error(out, CONFLICT,
                            "it was retried, dropped or edited meanwhile; nothing was changed");
    }
    note(s->ask, e, edit.fields);
    json_t *all = json_object();
    json_object_set_new(all, "edits", json_integer(e->was.edits + 1));
    return answer_json(out, OK, all);
}

static int edit(struct open_store *s, struct buf *out)
{
    const struct stored_ask *a = s->ask;
    CLEANUP(editing_release) struct editing e = {0};
    struct error err = {0};
    arena_init(&e.arena);
    if (s->ops->dead_letter_list(s->store, store_letter_number(a->route.letter), take, &e, &err)) {
        return failed(out, &err);
    }
    if (!e.found) {
        return no_letter(s, out);
    }
    if (!store_letter_is_open(&e.was)) {
        return answer_error(out, CONFLICT, "only an open dead letter can be edited");
    }
    if (a->edits >= 0 && a->edits != e.was.edits) {
        return answer_error(out, CONFLICT,
                            "it was edited since it was shown; nothing was changed, look again");
    }
    if (letter_object_read(a->body, &e.now, &e.arena, &err)) {
        return answer_error(out, BAD, err.text);
    }
    return store_edit(s, &e, out);
}

/* --- all --- */

static int (*const answers[])(struct open_store *s,
                              struct buf *out) = {[ROUTE_LETTERS] = letters,
                                                  [ROUTE_LETTER] = letter,
                                                  [ROUTE_PARKED] = parked,
                                                  [ROUTE_POSITIONS] = positions,
                                                  [ROUTE_EDIT] = edit};

int stored_answer(const struct stored_ask *ask, struct buf *out)
{
    CLEANUP(release) struct open_store s = {.ask = ask};
    struct error err = {0};
    if (membership_shards(ask->pipeline) > 1) {
        return answer_error(
            out, NOT_YET,
            "the pipeline is divided into shards, into which the console does not look in this version; use the commands `dead-letters` and `position`");
    }
    s.ops = assembly_store(&s.env, &s.url, ask->config, ask->pipeline);
    s.env.observe = true;
    s.env.stop_fd = ask->stop_fd;
    if (s.ops->open(&s.env, &s.store, &err)) {
        return failed(out, &err);
    }
    return answers[ask->route.what](&s, out);
}
