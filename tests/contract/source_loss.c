/* Every committed row comes once and in order, whatever its transaction did; nothing else does. */
#include "../unit/unit.h"

#include "source_cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void committed_rows_come_once_and_in_order(void **state)
{
    struct world *w = *state;
    world_emit_range(w, 1, 3);
    world_start(w, NULL);
    assert_comes(w, "1 2 3");
    world_emit_range(w, 4, 5);
    assert_comes(w, "4 5");
    assert_comes(w, "");
}

static void what_is_rolled_back_never_comes(void **state)
{
    struct world *w = *state;
    world_start(w, NULL);
    world_sql(w, 0, "begin");
    world_emit(w, 1, "k");
    assert_comes(w, "");
    world_sql(w, 0, "rollback");
    assert_comes(w, "");
    world_sql(w, 0, "begin");
    world_emit(w, 2, "k");
    world_sql(w, 0, "savepoint s");
    world_emit(w, 3, "k");
    world_sql(w, 0, "rollback to s");
    world_emit(w, 4, "k");
    world_sql(w, 0, "commit");
    assert_comes(w, "2 4");
}

/* A row that got its number early and is committed late, behind one that was delivered. Where only
 * one session can write at a time, the other waits. */
static void a_late_commit_is_not_passed_over(void **state)
{
    struct world *w = *state;
    world_start(w, NULL);
    world_sql(w, 0, "begin");
    world_emit(w, 1, "a");
    bool both = world_try_emit(w, 1, 2, "b");
    world_drain(w);
    assert_int_equal(w->got_count, both ? 1 : 0);
    world_go_on(w, w->got_count);
    assert_comes(w, "");
    world_sql(w, 0, "commit");
    if (both) {
        assert_comes(w, "1");
    } else {
        assert_true(world_try_emit(w, 1, 2, "b"));
        assert_comes(w, "1 2");
    }
}

/* Two writers, rollbacks, savepoints and restarts at random: in the end what came is what was
 * committed, once each and in each writer's order. */
struct writer {
    bool open;
    char key[4];
    int inserted[8];
    size_t count;
};

static void writer_step(struct world *w, unsigned s, struct writer *x, int *next, bool *committed)
{
    unsigned r = (unsigned)rand() % 8;
    if (!x->open) {
        world_sql(w, s, "begin");
        x->open = true;
        x->count = 0;
    } else if (r < 4 && x->count < 8) {
        if (world_try_emit(w, s, *next, x->key)) {
            x->inserted[x->count++] = (*next)++;
        }
    } else if (r == 4 && x->count > 0 && x->count < 8) {
        world_sql(w, s, "savepoint s");
        assert_true(world_try_emit(w, s, (*next)++, x->key));
        world_sql(w, s, "rollback to s");
    } else {
        world_sql(w, s, r == 7 ? "rollback" : "commit");
        for (size_t i = 0; r != 7 && i < x->count; i++) {
            committed[x->inserted[i]] = true;
        }
        x->open = false;
    }
}

static void count_came(struct world *w, int *came, int *last_of_key)
{
    for (size_t i = 0; i < w->got_count; i++) {
        int n = w->got[i].number, which = w->got[i].key[0] - 'a';
        came[n]++;
        if (n <= last_of_key[which]) {
            fail_msg("%d came behind %d of the same key", n, last_of_key[which]);
        }
        last_of_key[which] = n;
    }
}

static void interleaved_writers_lose_nothing(void **state)
{
    enum { STEPS = 1000 };
    struct world *w = *state;
    struct writer writers[2] = {{.key = "a"}, {.key = "b"}};
    static bool committed[STEPS + 2];
    static int came[STEPS + 2];
    int next = 1, last_of_key[2] = {0, 0};
    memset(committed, 0, sizeof committed);
    memset(came, 0, sizeof came);
    srand(20);
    world_start(w, NULL);
    for (int step = 0; step < STEPS; step++) {
        unsigned s = (unsigned)rand() % 2;
        writer_step(w, s, &writers[s], &next, committed);
        if (rand() % 4 == 0) {
            world_read(w, 1 + (size_t)rand() % 4, SIZE_MAX);
        }
        bool may_mark = !w->c->kind->one_writer || (!writers[0].open && !writers[1].open);
        if (rand() % 16 == 0 && w->got_count > 0 && may_mark) {
            size_t delivered = 1 + (size_t)rand() % w->got_count, all = w->got_count;
            w->got_count = delivered;
            count_came(w, came, last_of_key);
            w->got_count = all;
            world_go_on(w, delivered);
        }
    }
    world_sql(w, 0, writers[0].open ? "rollback" : "begin");
    world_sql(w, 1, writers[1].open ? "rollback" : "begin");
    world_drain(w);
    count_came(w, came, last_of_key);
    for (int n = 1; n < next; n++) {
        if (came[n] != committed[n]) {
            fail_msg("event %d: %s, came %d times", n, committed[n] ? "committed" : "rolled back",
                     came[n]);
        }
    }
}

const struct source_test source_loss_cases[] = {
    SOURCE_CASE(committed_rows_come_once_and_in_order),
    SOURCE_CASE(what_is_rolled_back_never_comes),
    SOURCE_CASE(a_late_commit_is_not_passed_over),
    SOURCE_CASE(interleaved_writers_lose_nothing),
    {{0}, NULL},
};
