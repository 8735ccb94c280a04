/*
 * How a process comes to its fair share of a pipeline's shards: a pure function of what it sees.
 * Private to relay/store/postgres.
 */
#pragma once

#include <stdbool.h>

/* What a member sees of all members at one moment. */
struct share_view {
    int shards;  /* how many there are */
    int members; /* processes that take part; this one counts */
    int own;     /* how many this one has */
    int poorest; /* how many the one has that has fewest; it may be this one */
    int free;    /* how many nobody has */
};

enum share_move { SHARE_STAY, SHARE_TAKE /* a free one */, SHARE_GIVE /* one of ours */ };

/* The one move to make now. Members that follow it, each with a view of its own time, come to a
 * state in which all stay: each has shards/members, rounded up or down. */
enum share_move share_move(const struct share_view *v);
