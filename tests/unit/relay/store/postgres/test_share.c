/* The rule of fair shares against a model: members come and go, each moves on what it saw. They
 * come to rest, with fair shares, in few moves; a shard is never asked back for nothing. */
#include "unit.h"

#include "store/postgres/share.h"
#include <stdlib.h>
#include <string.h>

enum { MEMBERS = 6, SHARDS = 16 };

struct world {
    int shards;
    bool member[MEMBERS];
    int owner[SHARDS]; /* -1: nobody */
    int takes, gives;
};

static int count(const struct world *w, int who)
{
    int n = 0;
    for (int s = 0; s < w->shards; s++) {
        n += w->owner[s] == who;
    }
    return n;
}

static struct share_view look(const struct world *w, int who)
{
    struct share_view v = {.shards = w->shards, .own = count(w, who), .poorest = SHARDS};
    for (int m = 0; m < MEMBERS; m++) {
        if (w->member[m]) {
            v.members++;
            v.poorest = count(w, m) < v.poorest ? count(w, m) : v.poorest;
        }
    }
    v.free = count(w, -1);
    return v;
}

static int find(const struct world *w, int owner)
{
    for (int s = 0; s < w->shards; s++) {
        if (w->owner[s] == owner) {
            return s;
        }
    }
    return -1;
}

/* A move that was decided on an earlier view: what was free then may be taken now. */
static void move(struct world *w, int who, enum share_move m)
{
    int s = find(w, m == SHARE_TAKE ? -1 : who);
    if (m == SHARE_STAY || s < 0) {
        return;
    }
    w->owner[s] = m == SHARE_TAKE ? who : -1;
    w->takes += m == SHARE_TAKE;
    w->gives += m == SHARE_GIVE;
}

/* All members look at the same moment, then move in a random order: the worst that can happen. */
static bool round_of(struct world *w)
{
    enum share_move m[MEMBERS] = {SHARE_STAY};
    bool moved = false;
    for (int i = 0; i < MEMBERS; i++) {
        struct share_view v = look(w, i);
        m[i] = w->member[i] ? share_move(&v) : SHARE_STAY;
        moved = moved || m[i] != SHARE_STAY;
    }
    int first = rand() % MEMBERS;
    for (int i = 0; i < MEMBERS; i++) {
        move(w, (first + i) % MEMBERS, m[(first + i) % MEMBERS]);
    }
    return moved;
}

static void come_to_rest(struct world *w)
{
    int rounds = 0;
    while (round_of(w)) {
        if (++rounds > 4 * SHARDS) {
            fail_msg("%d shards do not come to rest", w->shards);
        }
    }
    struct share_view v = look(w, -2);
    for (int m = 0; v.members > 0 && m < MEMBERS; m++) {
        if (w->member[m]) {
            assert_in_range(count(w, m), w->shards / v.members,
                            (w->shards + v.members - 1) / v.members);
        }
    }
    assert_int_equal(v.free, v.members > 0 ? 0 : w->shards);
}

static void leave(struct world *w, int who)
{
    w->member[who] = false;
    for (int s = 0; s < w->shards; s++) {
        w->owner[s] = w->owner[s] == who ? -1 : w->owner[s];
    }
}

static void members_come_to_fair_shares(void **state)
{
    (void)state;
    srand(17);
    for (int run = 0; run < 2000; run++) {
        struct world w = {.shards = 2 + rand() % (SHARDS - 1)};
        memset(w.owner, -1, sizeof w.owner);
        for (int step = 0; step < 6; step++) {
            int who = rand() % MEMBERS;
            if (w.member[who]) {
                leave(&w, who);
            } else {
                w.member[who] = true;
            }
            come_to_rest(&w);
        }
    }
}

/* Who comes to M others that are at rest gets its share, and hardly anything else moves: all of
 * them may have seen it poor at the same moment, once. */
static void a_new_member_costs_few_moves(void **state)
{
    (void)state;
    srand(18);
    for (int run = 0; run < 1000; run++) {
        struct world w = {.shards = 2 + rand() % (SHARDS - 1)};
        int before = 1 + rand() % (MEMBERS - 1);
        memset(w.owner, -1, sizeof w.owner);
        for (int m = 0; m < before; m++) {
            w.member[m] = true;
        }
        come_to_rest(&w);
        w.takes = w.gives = 0;
        w.member[before] = true;
        come_to_rest(&w);
        assert_in_range(w.gives, 0, w.shards / (before + 1) + before);
        assert_int_equal(w.takes, w.gives);
    }
}

static void the_rule(void **state)
{
    (void)state;
    static const struct {
        struct share_view v;
        enum share_move move;
    } cases[] = {
        {{8, 1, 0, 0, 8}, SHARE_TAKE}, {{8, 1, 8, 8, 0}, SHARE_STAY}, {{8, 3, 8, 0, 0}, SHARE_GIVE},
        {{8, 3, 7, 0, 1}, SHARE_STAY}, /* let a poor one take it */
        {{8, 3, 0, 0, 1}, SHARE_TAKE}, {{8, 3, 3, 2, 0}, SHARE_STAY}, {{8, 3, 3, 1, 0}, SHARE_GIVE},
        {{8, 3, 2, 1, 1}, SHARE_STAY}, /* it is not our turn */
        {{8, 3, 2, 2, 1}, SHARE_TAKE}, {{2, 3, 0, 0, 0}, SHARE_STAY}, {{2, 3, 1, 0, 0}, SHARE_STAY},
        {{2, 3, 2, 0, 0}, SHARE_GIVE}, {{8, 0, 0, 0, 8}, SHARE_STAY}, /* we do not see ourselves */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (share_move(&cases[i].v) != cases[i].move) {
            fail_msg("case %zu: another move", i);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rule),
        cmocka_unit_test(members_come_to_fair_shares),
        cmocka_unit_test(a_new_member_costs_few_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
