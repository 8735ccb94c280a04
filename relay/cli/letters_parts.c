/* Each shard of a divided pipeline keeps the dead letters of its keys. Their numbers are unique
 * over all shards, so a command finds the shard of each that is named, and then does its work in
 * one shard after the other. A pipeline that is not divided has one part, the whole. */
#include "cli/dead_letters.h"

#include "base/memory.h"
#include "daemon/membership.h"
#include <stdio.h>
#include <stdlib.h>

static int found(void *ctx, const struct store_dead_letter *d UNUSED)
{
    *(bool *)ctx = true;
    return RESULT_DONE;
}

/* Notes `shard` for those of the letters that it has. */
static int look_for_letters(struct letters *c, int shard, int of, int *ret_shards)
{
    CLEANUP(cli_store_release) struct cli_store s = {0};
    struct error err = {0};
    char part[PART_SIZE];
    part_text((struct part){shard, of}, part);
    int rc = cli_store_open_part(&s, c->config, c->p, part);
    for (size_t i = 0; i < c->ids_count && rc == 0; i++) {
        struct store_letter_pick one = store_letter_number(c->ids[i]);
        bool here = false;
        one.bare = true;
        if (s.ops->dead_letter_list(s.store, one, found, &here, &err)) {
            return cli_fail(&err);
        }
        ret_shards[i] = here ? shard : ret_shards[i];
    }
    return rc;
}

/* The shard of each letter that is named. Before anything is done: a number that is none is a
 * mistake of the whole command. */
static int find_shards(struct letters *c, int of, int *ret_shards)
{
    for (size_t i = 0; i < c->ids_count; i++) {
        ret_shards[i] = of > 1 ? -1 : 0;
    }
    for (int shard = 0; of > 1 && shard < of; shard++) {
        int rc = look_for_letters(c, shard, of, ret_shards);
        if (rc) {
            return rc;
        }
    }
    for (size_t i = 0; i < c->ids_count; i++) {
        if (ret_shards[i] < 0) {
            return letters_none(c, c->ids[i]);
        }
    }
    return 0;
}

/* On stderr, because each line on stdout is one event of the list. */
static int look_at_store(struct letters *c)
{
    struct store_position at = {0};
    struct error err = {0};
    if (found_observe(&c->relay, &c->store, &at, &err)) {
        return cli_fail(&err);
    }
    buf_release(&at.cursor);
    if (!c->store_shown) {
        fprintf(stderr, "store: %s%s\n", buf_str(&c->store.shown),
                at.absent ? " (nothing there yet)" : "");
    }
    c->store_shown = true;
    return 0;
}

static int obey(struct letters *c, struct part part, letters_work *work)
{
    c->store = (struct cli_store){0};
    part_text(part, c->part);
    snprintf(c->shown, sizeof c->shown, "%s%s%s", c->p->name, *c->part ? " " : "", c->part);
    int rc = cli_store_open_part(&c->store, c->config, c->p, c->part);
    rc = rc ? rc : look_at_store(c);
    rc = rc ? rc : work(c);
    cli_store_release(&c->store);
    return rc;
}

/* What could not be delivered in one shard does not keep the others from their letters. */
static int in_each(struct letters *c, int of, const int *shards, letters_work *work)
{
    const size_t named = c->ids_count;
    int64_t *all = c->ids;
    int failed = 0, rc = 0;
    c->ids = memory_need(calloc(named + 1, sizeof *c->ids));
    for (int shard = 0; shard < of && (rc == 0 || rc == EXIT_CODE_GAVE_UP); shard++) {
        c->ids_count = 0;
        for (size_t i = 0; i < named; i++) {
            if (shards[i] == shard) {
                c->ids[c->ids_count++] = all[i];
            }
        }
        rc = named > 0 && c->ids_count == 0 ? 0 : obey(c, (struct part){shard, of}, work);
        failed = failed ? failed : rc;
    }
    free(c->ids);
    c->ids = all;
    c->ids_count = named;
    return failed;
}

int letters_in_parts(struct letters *c, letters_work *work)
{
    const int of = membership_shards(c->p);
    int *shards = memory_need(calloc(c->ids_count + 1, sizeof *shards));
    int rc = find_shards(c, of, shards);
    rc = rc ? rc : in_each(c, of, shards, work);
    free(shards);
    return rc;
}
