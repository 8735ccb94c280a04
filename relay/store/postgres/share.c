/*
 * The rule of fair shares. Example: 8 shards, 3 members: each shall have 2 (8/3 rounded down) or 3
 * (rounded up).
 *
 * A member that has 2 takes a third one only while no other has less than 2: else two members
 * could take again and again what they have just given away for a third. It gives only while
 * nothing is free, because who is poor takes what is free first.
 */
#include "store/postgres/share.h"

enum share_move share_move(const struct share_view *v)
{
    if (v->members < 1) {
        return SHARE_STAY;
    }
    int least = v->shards / v->members, most = (v->shards + v->members - 1) / v->members;
    if (v->free > 0) {
        bool turn = v->own < least || v->poorest >= least;
        return v->own < most && turn ? SHARE_TAKE : SHARE_STAY;
    }
    bool rich = v->own > most || (v->own > least && v->poorest < least);
    return rich ? SHARE_GIVE : SHARE_STAY;
}
