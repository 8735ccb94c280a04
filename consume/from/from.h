/*
 * Where a consumer's events come from. A source here gives events in the order of their streams (a
 * Kafka partition, a pipeline's batch files), and is told how far each stream is applied.
 *
 * All functions but check are called on the consumer's thread. They wait for nothing longer than a
 * disk, except flush and close, and a read or hold of Kafka in which the group hands partitions out
 * (it may take seconds; kafka_group.c). RESULT_AGAIN only where it is named. RETRY: the source has
 * to be closed and opened again, later. CONFIG: the operator must act.
 */
#pragma once

#include "base/log.h"
#include "base/poll_set.h"
#include "config/conf_key.h"
#include "config/config.h"
#include "consume/record.h"

struct from_env {
    const char *consumer, *group;
    void *ctx;                                                       /* of the two below */
    void (*note)(void *ctx, enum log_level level, const char *text); /* a line for the log */
    /* The stream is another consumer's from now on. Returns when nothing of it is being applied any
     * more, or after a while; calls settled meanwhile. */
    void (*lose)(void *ctx, const char *stream);
};

typedef void from_take(void *ctx, const struct incoming *in);

struct from_ops {
    const char *name, *help;
    const struct conf_key *keys;
    size_t conf_size;
    bool keeps_positions; /* settled makes them durable; else the inbox's database keeps them */

    /* If the text is a URL of this kind, appends the YAML of its `from` and returns true. */
    bool (*from_url)(const char *url, struct buf *yaml);

    /* For `check --connect`: are the folder or the topics there, and may they be seen? Joins no
     * group. Waits. */
    int (*check)(const void *conf, const struct from_env *env, struct error *err);

    int (*open)(const void *conf, const struct from_env *env, void **ret, struct error *err);
    void (*close)(void *from);
    /* Before the first read, for each position that was saved; may be NULL with keeps_positions. */
    void (*resume)(void *from, struct slice stream, int64_t number);

    /* Gives up to `max` events. AGAIN: there is none now; poll adds what to wait for. */
    int (*read)(void *from, size_t max, from_take *take, void *ctx, struct error *err);
    void (*poll)(void *from, struct poll_set *set);
    /* In the place of read while the consumer has enough, so that the source hears from it. May
     * give a few events all the same. May be NULL. */
    int (*hold)(void *from, from_take *take, void *ctx, struct error *err);
    /* Is all that it reads from known to be there? From then on an error of the class CONFIG does
     * not end the consumer any more, but blocks it. NULL: that is so after the first read. */
    bool (*up)(const void *from);
    bool (*idle)(const void *from); /* all that is there was given */
    /* What is there from now on counts, too: idle answers no until it has looked again. */
    void (*look_again)(void *from);
    /* Why it cannot go on although there is more, such as a file that is missing; NULL: nothing is
     * in its way. With --until-idle this ends the consumer. */
    const struct error *(*stuck)(const void *from);

    /* All events of the stream up to this number are applied. May be NULL without keeps_positions.
     */
    void (*settled)(void *from, const char *stream, int64_t number);
    /* Makes durable what was settled; waits. May be NULL. */
    int (*flush)(void *from, struct error *err);
};

/* All that this build has, ended by NULL. */
const struct from_ops *const *from_all(void);
const struct from_ops *from_named(const char *name); /* NULL: there is none */
const struct conf_plugin *from_conf(void);           /* for config/config.h */
