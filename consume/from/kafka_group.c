/* The group's side of a Kafka consumer. Partitions come and go one by one (cooperative-sticky). A
 * partition that goes is given up when nothing of it is being applied any more, or when that takes
 * too long (from_env.lose). Then its offset is committed, if the group still allows it. */
#include "consume/from/kafka_group.h"

#include "base/clock.h"
#include "base/memory.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { COMMITTED_MS = 10000 };

/* --- errors --- */

int from_kafka_fail(struct error *err, rd_kafka_resp_err_t code, const char *detail)
{
    static const struct {
        rd_kafka_resp_err_t code;
        int exit_code;
        const char *remedy;
    } config[] = {
        {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, EXIT_CODE_CONFIG,
         "create the topic, or correct from.topics"},
        {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, EXIT_CODE_PERMISSION,
         "grant the consumer's user READ and DESCRIBE on the topic (kafka-acls.sh --consumer)"},
        {RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, EXIT_CODE_PERMISSION,
         "grant the consumer's user READ on the group (kafka-acls.sh --consumer)"},
        {RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL, EXIT_CODE_CONFIG,
         "other members of the group assign partitions in another way than cooperative-sticky: "
         "give this consumer another `group`"},
    };
    for (size_t i = 0; i < sizeof config / sizeof *config; i++) {
        if (config[i].code == code) {
            error_exit(err, ERROR_CONFIG, config[i].exit_code, "kafka", "Kafka: %s; %s", detail,
                       config[i].remedy);
            return error_code(err, rd_kafka_err2name(code));
        }
    }
    error_set(err, ERROR_RETRY, "kafka", "Kafka: %s", detail);
    return error_code(err, rd_kafka_err2name(code));
}

void from_kafka_tell(struct from_kafka *k, const char *text)
{
    if (strncmp(k->told, text, sizeof k->told - 1) != 0) {
        snprintf(k->told, sizeof k->told, "%s", text);
        k->env.note(k->env.ctx, LOG_WARN, text);
    }
}

/* An error that librdkafka mends by itself is logged. Any other is a failure. */
void from_kafka_take_error(struct from_kafka *k, rd_kafka_resp_err_t code, const char *detail)
{
    struct error err;
    char text[300];
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        char fatal[256];
        code = rd_kafka_fatal_error(k->rk, fatal, sizeof fatal);
        from_kafka_fail(&k->failure, code, fatal);
        return;
    }
    if (from_kafka_fail(&err, code, detail), err.class == ERROR_CONFIG) {
        k->failure = err;
        return;
    }
    snprintf(text, sizeof text, "Kafka: %.200s (%s)", detail, rd_kafka_err2name(code));
    from_kafka_tell(k, text);
}

/* --- partitions --- */

struct part *from_kafka_find_part(struct from_kafka *k, const char *topic, int32_t partition)
{
    for (size_t i = 0; i < k->count; i++) {
        if (k->parts[i].partition == partition && strcmp(k->parts[i].topic, topic) == 0) {
            return &k->parts[i];
        }
    }
    return NULL;
}

static void add_part(struct from_kafka *k, const rd_kafka_topic_partition_t *p)
{
    k->parts = memory_need(realloc(k->parts, (k->count + 1) * sizeof *k->parts));
    struct part *part = &k->parts[k->count++];
    *part = (struct part){.topic = memory_need(strdup(p->topic)),
                          .partition = p->partition,
                          .settled = RD_KAFKA_OFFSET_INVALID,
                          .committed = RD_KAFKA_OFFSET_INVALID};
    snprintf(part->stream, sizeof part->stream, "%s/%" PRId32, p->topic, p->partition);
}

static void drop_part(struct from_kafka *k, struct part *part)
{
    free(part->topic);
    *part = k->parts[--k->count];
}

/* Sends the offsets of what was applied since the last time. */
int from_kafka_commit(struct from_kafka *k, bool wait, struct error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)k->count);
    for (size_t i = 0; i < k->count; i++) {
        struct part *p = &k->parts[i];
        if (p->settled != p->committed || (wait && p->settled >= 0)) {
            rd_kafka_topic_partition_list_add(list, p->topic, p->partition)->offset = p->settled;
            p->committed = p->settled;
        }
    }
    rd_kafka_resp_err_t code =
        list->cnt > 0 ? rd_kafka_commit(k->rk, list, !wait) : RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_topic_partition_list_destroy(list);
    k->commit_at_us = clock_mono_us() + KAFKA_COMMIT_EVERY_US;
    return code ? from_kafka_fail(err, code, rd_kafka_err2str(code)) : RESULT_DONE;
}

/* A partition that the group has not read yet begins where auto.offset.reset says. For all others a
 * committed offset that is no longer there is an error (take_end). */
static bool set_begin(struct from_kafka *k, rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_resp_err_t code = rd_kafka_committed(k->rk, list, COMMITTED_MS);
    if (code) {
        char text[200];
        snprintf(text, sizeof text, "the committed offsets cannot be read: %s",
                 rd_kafka_err2str(code));
        from_kafka_fail(&k->failure, code, text);
        return false;
    }
    for (int i = 0; i < list->cnt; i++) {
        rd_kafka_topic_partition_t *p = &list->elems[i];
        if (p->err) {
            from_kafka_fail(&k->failure, p->err, rd_kafka_err2str(p->err));
            return false;
        }
        if (p->offset < 0) {
            p->offset = k->latest ? RD_KAFKA_OFFSET_END : RD_KAFKA_OFFSET_BEGINNING;
        }
    }
    return true;
}

static void finish_rebalance(struct from_kafka *k, rd_kafka_error_t *error)
{
    if (error) {
        from_kafka_fail(&k->failure, rd_kafka_error_code(error), rd_kafka_error_string(error));
        rd_kafka_error_destroy(error);
    }
}

void from_kafka_pause_all(struct from_kafka *k, bool pause)
{
    rd_kafka_topic_partition_list_t *list = NULL;
    if (k->paused == pause || rd_kafka_assignment(k->rk, &list)) {
        return;
    }
    if (pause) {
        rd_kafka_pause_partitions(k->rk, list);
    } else {
        rd_kafka_resume_partitions(k->rk, list);
    }
    rd_kafka_topic_partition_list_destroy(list);
    k->paused = pause;
}

static void gain(struct from_kafka *k, rd_kafka_topic_partition_list_t *list)
{
    char text[STREAM_SIZE + 40];
    if (list->cnt > 0 && !set_begin(k, list)) {
        finish_rebalance(k, rd_kafka_incremental_assign(k->rk, list));
        return;
    }
    for (int i = 0; i < list->cnt; i++) {
        add_part(k, &list->elems[i]);
        snprintf(text, sizeof text, "partition %s is ours", k->parts[k->count - 1].stream);
        k->env.note(k->env.ctx, LOG_INFO, text);
    }
    k->assigned = true;
    from_kafka_pause_all(k, false); /* those that we had; the new ones are not paused */
    finish_rebalance(k, rd_kafka_incremental_assign(k->rk, list));
}

static void give_up(struct from_kafka *k, rd_kafka_topic_partition_list_t *list)
{
    char text[STREAM_SIZE + 40];
    struct error err;
    for (int i = 0; i < list->cnt; i++) {
        struct part *p = from_kafka_find_part(k, list->elems[i].topic, list->elems[i].partition);
        if (p) {
            snprintf(text, sizeof text, "partition %s goes to another consumer", p->stream);
            k->env.note(k->env.ctx, LOG_INFO, text);
            k->env.lose(k->env.ctx, p->stream);
        }
    }
    /* The broker would refuse a commit for a partition that is lost already. Its new owner reads
     * again what was applied here, and passes over it. */
    if (!rd_kafka_assignment_lost(k->rk) && from_kafka_commit(k, true, &err)) {
        from_kafka_tell(k, err.text);
    }
    for (int i = 0; i < list->cnt; i++) {
        struct part *p = from_kafka_find_part(k, list->elems[i].topic, list->elems[i].partition);
        if (p) {
            drop_part(k, p);
        }
    }
    finish_rebalance(k, rd_kafka_incremental_unassign(k->rk, list));
}

void from_kafka_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code,
                             rd_kafka_topic_partition_list_t *list, void *opaque)
{
    struct from_kafka *k = opaque;
    k->rk = rk;
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        gain(k, list);
    } else {
        give_up(k, list);
    }
}
