/* `dead-letters edit`: changes what a retry will send. The original stays beside it in the store.
 * The new values are given as options, or in $EDITOR as one JSON object. */
#include "cli/dead_letters.h"
#include "cli/kit/cli_audit.h"
#include "cli/letters_editor.h"
#include "message/encode.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct edit {
    struct letters *c;
    struct cli_audit audit;
    struct arena arena;
    struct store_dead_letter was; /* the original; all texts in the arena */
    struct letter_values now;     /* as it was edited before, then as it is to be */
};

static void release(struct edit *e)
{
    arena_release(&e->arena);
    cli_audit_release(&e->audit);
}

static int take(void *ctx, const struct store_dead_letter *d)
{
    struct edit *e = ctx;
    struct arena *a = &e->arena;
    e->was = *d;
    e->was.topic = arena_copy(a, d->topic);
    e->was.key = arena_copy(a, d->key);
    e->was.headers = arena_copy(a, d->headers);
    e->was.payload = arena_copy(a, d->payload);
    e->now = letter_values_of(d, a);
    return RESULT_DONE;
}

static int read_payload(const char *path, struct letter_values *now, struct arena *arena,
                        struct error *err)
{
    CLEANUP(buf_release) struct buf text = {0};
    FILE *f = fopen(path, "re");
    char bytes[16384];
    size_t n;
    if (!f) {
        return error_errno(err, "edit", errno, "cannot read the payload from \"%s\"", path);
    }
    while ((n = fread(bytes, 1, sizeof bytes, f)) > 0) {
        buf_add(&text, bytes, n);
    }
    bool failed = ferror(f);
    fclose(f);
    if (failed) {
        return error_errno(err, "edit", EIO, "cannot read the payload from \"%s\"", path);
    }
    bool line_end = now->json && text.len > 0 && text.data[text.len - 1] == '\n';
    now->payload = arena_copy(arena, (struct slice){buf_str(&text), text.len - line_end});
    return RESULT_DONE;
}

static int add_headers(const struct args_list *given, struct letter_values *now,
                       struct arena *arena, struct error *err)
{
    struct header *more = arena_array(arena, given->count + 1, sizeof *more);
    for (size_t i = 0; i < given->count; i++) {
        const char *name = given->items[i], *end = strchr(name, '=');
        if (!end || end == name) {
            return error_exit(err, ERROR_CONFIG, EXIT_CODE_USAGE, "edit",
                              "--header is NAME=VALUE, not \"%s\"", name);
        }
        more[i] = (struct header){{name, (size_t)(end - name)}, slice_from(end + 1)};
    }
    struct event event = {.headers = now->headers};
    if (encode_add_headers(&event, more, given->count, arena, err)) {
        return RESULT_ERROR;
    }
    now->headers = event.headers;
    return RESULT_DONE;
}

static int from_options(const struct letters *c, struct letter_values *now, struct arena *arena,
                        struct error *err)
{
    if (c->topic) {
        now->topic = slice_from(c->topic);
    }
    if (c->key) {
        now->key = slice_from(c->key);
    }
    return (c->payload_file && read_payload(c->payload_file, now, arena, err)) ||
                   (c->headers.count > 0 && add_headers(&c->headers, now, arena, err))
               ? RESULT_ERROR
               : letter_values_check(now, err);
}

int letters_new_values(const struct letters *c, int64_t id, struct letter_values *now,
                       struct arena *arena, struct error *err)
{
    bool given = c->topic || c->key || c->payload_file || c->headers.count > 0;
    return given ? from_options(c, now, arena, err) : letter_editor_run(id, now, arena, err);
}

static int say(const struct edit *e, unsigned fields, const char *what)
{
    CLEANUP(buf_release) struct buf out = {0};
    buf_printf(&out, "dead letter %lld: %s", (long long)e->was.id, what);
    letter_field_names(&out, fields);
    buf_add_char(&out, '\n');
    return cli_show(buf_slice(&out));
}

static void note(struct edit *e, unsigned fields)
{
    CLEANUP(buf_release) struct buf before = {0}, after = {0};
    letter_edit_facts(&before, e->was.id, e->was.edit.fields, e->was.edits);
    letter_edit_facts(&after, e->was.id, fields, e->was.edits + 1);
    cli_audit_write(&e->audit, "dead_letter_edit", e->c->p->name, &before, &after);
}

static int store(struct edit *e, const struct store_letter_edit *d)
{
    const struct cli_store *s = &e->c->store;
    struct error err = {0};
    bool done = false;
    if (s->ops->dead_letter_edit(s->store, e->was.id, e->was.edits, d, &done, &err)) {
        return cli_fail(&err);
    }
    if (!done) {
        return cli_error(
            EXIT_CODE_GAVE_UP,
            "dead letter %lld was retried, dropped or edited meanwhile; nothing was changed, look at it and try again",
            (long long)e->was.id);
    }
    note(e, d->fields);
    int rc =
        say(e, d->fields, d->fields ? "a retry will send it with another" : "as it was at first");
    return cli_audit_end(&e->audit, rc);
}

int letters_edit(struct letters *c)
{
    CLEANUP(release) struct edit e = {.c = c};
    arena_init(&e.arena);
    struct error err = {0};
    int rc = letters_each(c, (struct store_letter_pick){0}, take, &e);
    if (rc) {
        return rc;
    }
    if (!store_letter_is_open(&e.was)) {
        return cli_error(EXIT_CODE_USAGE, "dead letter %lld was %s; only an open one can be edited",
                         (long long)e.was.id, e.was.state);
    }
    if (cli_audit_open(&e.audit, c->config, &err)) {
        return cli_fail(&err);
    }
    const struct letter_values before = e.now;
    if (letters_new_values(c, e.was.id, &e.now, &e.arena, &err)) {
        return cli_fail(&err);
    }
    if (letter_values_same(&before, &e.now)) {
        return say(&e, 0, "nothing was changed");
    }
    struct store_letter_edit d = letter_values_difference(&e.was, &e.now);
    return store(&e, &d);
}
