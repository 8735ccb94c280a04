/* Which dead letters a command means: those that are named, or those that pass the filters. */
#include "cli/dead_letters.h"

#include <string.h>

static bool is_text(struct slice value, const char *text)
{
    return !slice_is_null(value) && slice_equal_str(value, text);
}

static bool match(const struct letters *c, const struct store_dead_letter *d)
{
    struct store_dead_letter now = store_letter_as_edited(d);
    return (!c->key || is_text(now.key, c->key)) && (!c->type || is_text(d->type, c->type)) &&
           (c->since_us == TIME_NONE || d->last_failed_us >= c->since_us) &&
           (!c->reason || (d->reason.len > 0 &&
                           memmem(d->reason.ptr, d->reason.len, c->reason, strlen(c->reason))));
}

struct filtered {
    const struct letters *c;
    int (*each)(void *ctx, const struct store_dead_letter *d);
    void *ctx;
    size_t count;
};

static int pass_matching(void *ctx, const struct store_dead_letter *d)
{
    struct filtered *f = ctx;
    bool wanted = f->c->ids_count > 0 || match(f->c, d);
    f->count += wanted;
    return wanted ? f->each(f->ctx, d) : RESULT_DONE;
}

int letters_none(const struct letters *c, int64_t id)
{
    return cli_error(EXIT_CODE_USAGE,
                     "pipeline %s has no dead letter %lld; `dead-letters list` shows them",
                     c->p->name, (long long)id);
}

int letters_each(struct letters *c, struct store_letter_pick which,
                 int (*each)(void *ctx, const struct store_dead_letter *d), void *ctx)
{
    const struct cli_store *s = &c->store;
    struct filtered f = {.c = c, .each = each, .ctx = ctx};
    struct error err = {0};
    if (c->ids_count == 0) {
        return s->ops->dead_letter_list(s->store, which, pass_matching, &f, &err) ? cli_fail(&err)
                                                                                  : 0;
    }
    for (size_t i = 0; i < c->ids_count; i++) {
        struct store_letter_pick one = store_letter_number(c->ids[i]);
        one.bare = which.bare;
        f.count = 0;
        if (s->ops->dead_letter_list(s->store, one, pass_matching, &f, &err)) {
            return cli_fail(&err);
        }
        if (f.count == 0) {
            return letters_none(c, c->ids[i]);
        }
    }
    return 0;
}
