/* Events that wait behind the dead letter of their key (`poison: park_key`). They are written into
 * the inbox's database in the transaction in which the others of their batch are applied.
 *
 * The row of the dead letter says that its key is parked, and is locked by whoever asks for it, and
 * by whoever applies what waits (letters.c). So an event waits behind all others of its key, or is
 * applied after all of them, whichever process has it. */
#include "consume/apply/internal.h"

#include "base/memory.h"
#include "consume/apply/letter.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* --- asking --- */

static void take_bool(void *ctx, const struct slice *columns)
{
    *(bool *)ctx = slice_equal_str(columns[0], "1");
}

int parking_any(struct apply *a, bool *ret, struct error *err)
{
    const struct inbox_value consumer = inbox_text(a->conf->name);
    *ret = false;
    return a->ops->run(a->inbox, INBOX_ANY_PARKED, &consumer, 1, take_bool, ret, NULL, err);
}

struct room {
    int64_t keys, events, letter;
};

static void take_room(void *ctx, const struct slice *columns)
{
    struct room *r = ctx;
    int64_t *const all[] = {&r->keys, &r->events, &r->letter};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        *all[i] = slice_is_null(columns[i]) ? 0 : strtoll(columns[i].ptr, NULL, 10);
    }
}

static int look_at_room(struct apply *a, struct room *ret, struct error *err)
{
    const struct inbox_value consumer = inbox_text(a->conf->name);
    *ret = (struct room){0};
    return a->ops->run(a->inbox, INBOX_PARK_ROOM, &consumer, 1, take_room, ret, NULL, err);
}

static int no_room(const struct apply *a, int64_t count, const char *what, int64_t letter,
                   struct error *err)
{
    return error_exit(err, ERROR_CONFIG, EXIT_CODE_GAVE_UP, "consume",
                      "%" PRId64 " %s: `commitrelay dead-letters retry` or `drop --consumer %s "
                      "%" PRId64 "` makes room, or a higher limit (park)",
                      count, what, a->conf->name, letter);
}

bool parking_wanted(const struct apply *a, const struct record *r)
{
    return a->conf->poison == CONF_POISON_PARK_KEY && !slice_is_null(r->key);
}

int parking_room_for_key(struct apply *a, struct error *err)
{
    struct room room;
    if (look_at_room(a, &room, err)) {
        return RESULT_ERROR;
    }
    return room.keys < a->conf->park.max_keys
               ? RESULT_DONE
               : no_room(a, room.keys, "keys are parked, as many as may be", room.letter, err);
}

/* --- which of them --- */

struct keys {
    uint64_t *items;
    size_t count;
};

static void keys_release(struct keys *k)
{
    free(k->items);
}

static void take_key(void *ctx, const struct slice *columns)
{
    struct keys *k = ctx;
    k->items = memory_need(reallocarray(k->items, k->count + 1, sizeof *k->items));
    k->items[k->count++] = (uint64_t)strtoll(columns[0].ptr, NULL, 10);
}

static bool keys_have(const struct keys *k, const struct record *r)
{
    bool found = false;
    for (size_t i = 0; i < k->count && !slice_is_null(r->key); i++) {
        found = found || k->items[i] == r->order;
    }
    return found;
}

static int parked_of(struct apply *a, struct record *const *records, size_t n, struct keys *ret,
                     struct error *err)
{
    CLEANUP(buf_release) struct buf all = {0};
    for (size_t i = 0; i < n; i++) {
        buf_printf(&all, "%c%" PRId64, i ? ',' : '[', (int64_t)records[i]->order);
    }
    buf_add_char(&all, ']');
    const struct inbox_value params[] = {inbox_text(a->conf->name), {.text = buf_slice(&all)}};
    return a->ops->run(a->inbox, INBOX_PARKED, params, 2, take_key, ret, NULL, err);
}

/* --- waiting --- */

static int wait_behind(struct apply *a, const struct record *r, struct error *err)
{
    size_t added = 0;
    CLEANUP(letter_text_release) struct letter_text id = {0};
    char key[24], number[24], digest[DIGEST_HEX_SIZE];
    snprintf(key, sizeof key, "%" PRId64, (int64_t)r->order);
    snprintf(number, sizeof number, "%" PRId64, r->number);
    letter_digest(r, digest);
    letter_text(&id, r->id, LETTER_UTF8);
    const struct inbox_value params[] = {inbox_text(a->conf->name),
                                         inbox_text(key),
                                         inbox_text(digest),
                                         {.text = buf_slice(&id.text)},
                                         inbox_text(r->origin),
                                         inbox_text(number),
                                         {.text = r->key, .bytes = true},
                                         {.text = r->line, .bytes = true}};
    if (a->ops->run(a->inbox, INBOX_WAIT, params, 8, NULL, NULL, &added, err)) {
        return RESULT_ERROR;
    }
    a->put_behind += added;
    return RESULT_DONE;
}

/* What holds up one event is no reason to hold up the others of its batch: POISON of a batch lets
 * each of them have a transaction of its own. */
static int held_up(size_t n, struct error *err)
{
    err->class = n > 1 && err->class == ERROR_CONFIG ? ERROR_POISON : err->class;
    return RESULT_ERROR;
}

static int several_keys(struct apply *a, struct error *err)
{
    struct room room;
    return look_at_room(a, &room, err)
               ? RESULT_ERROR
               : error_exit(err, ERROR_CONFIG, EXIT_CODE_GAVE_UP, "consume",
                            "the next event concerns more than one key, and so cannot pass the "
                            "events that wait behind dead letters: retry or drop these "
                            "(`commitrelay dead-letters list --consumer %s`), the oldest is "
                            "%" PRId64,
                            a->conf->name, room.letter);
}

static int sift(struct apply *a, struct record *const *records, size_t n, const struct keys *parked,
                size_t *ret_going, struct error *err)
{
    struct room room = {0};
    size_t going = 0, waiting = 0;
    for (size_t i = 0; i < n; i++) {
        if (records[i]->alone) {
            (void)several_keys(a, err);
            return held_up(n, err);
        }
        if (!keys_have(parked, records[i])) {
            a->going[going++] = records[i];
            continue;
        }
        if (waiting++ == 0 && look_at_room(a, &room, err)) {
            return RESULT_ERROR;
        }
        if (room.events + (int64_t)waiting > a->conf->park.max_events) {
            (void)no_room(a, room.events, "events wait behind dead letters, as many as may",
                          room.letter, err);
            return held_up(n, err);
        }
        if (wait_behind(a, records[i], err)) {
            return RESULT_ERROR;
        }
    }
    *ret_going = going;
    return RESULT_DONE;
}

int parking_sift(struct apply *a, struct record *const *records, size_t n, size_t *ret_going,
                 struct error *err)
{
    CLEANUP(keys_release) struct keys parked = {0};
    bool any;
    a->put_behind = 0;
    if (parking_any(a, &any, err)) {
        return RESULT_ERROR;
    }
    if (!any) {
        memcpy(a->going, records, n * sizeof *records);
        *ret_going = n;
        return RESULT_DONE;
    }
    return parked_of(a, records, n, &parked, err) || sift(a, records, n, &parked, ret_going, err)
               ? RESULT_ERROR
               : RESULT_DONE;
}
