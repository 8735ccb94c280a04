/*
 * The store of one shard: its lock is on the connection of the process's membership, everything
 * else on its own.
 */
#include "store/postgres/internal.h"
#include "store/postgres/member.h"

void store_pg_sit_down(struct store_pg *s, struct store_member *m, int shard)
{
    s->member = m;
    s->seats = m ? store_pg_member_seats(m) : NULL;
    s->shard = shard;
}

void store_pg_get_up(struct store_pg *s)
{
    if (s->seats) {
        pg_seats_leave(s->seats, s->shard, true);
    }
}

int store_pg_claim(struct store_pg *s, uint64_t *ret_term, int64_t *ret_backend, struct error *err)
{
    return !s->member ? RESULT_DONE
           : store_pg_member_begin(s->member, err)
               ? RESULT_ERROR
               : pg_seats_claim(s->seats, s->shard, ret_term, ret_backend, err);
}

int store_pg_lock_shard(struct store_pg *s, int64_t backend, struct error *err)
{
    return store_pg_check_holder(s, backend, err) || store_pg_check_lease(s, err) ? RESULT_ERROR
                                                                                  : RESULT_DONE;
}

static enum store_seat seat(void *store)
{
    const struct store_pg *s = store;
    return pg_seats_ask(s->seats, s->shard);
}

static int seat_fd(const void *store)
{
    const struct store_pg *s = store;
    return s->seats->seat[s->shard].fd;
}

static void leave(void *store)
{
    struct store_pg *s = store;
    store_pg_disconnect(s);
    pg_seats_leave(s->seats, s->shard, false);
}

const struct store_shards_ops store_pg_shards = {.member_new = store_pg_member_new,
                                                 .member_free = store_pg_member_free,
                                                 .seat = seat,
                                                 .seat_fd = seat_fd,
                                                 .leave = leave};
