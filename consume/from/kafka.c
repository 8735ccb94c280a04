/* A Kafka topic, read by a consumer group: opening, reading, and what a consumer asks of a source.
 * The group is in kafka_group.c. */
#include "consume/from/kafka_group.h"

#include "base/clock.h"
#include "base/memory.h"
#include "config/conf_quote.h"
#include "message/encode.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const int64_t PAUSE_AFTER_US = 5 * US_PER_SECOND;
enum { HOLD_MAX = 100 };

/* --- URL --- */

/* kafka://HOST:PORT[,HOST:PORT]/TOPIC[,TOPIC] */
static bool from_url(const char *url, struct buf *yaml)
{
    static const char prefix[] = "kafka://";
    const char *rest = url + sizeof prefix - 1;
    if (strncmp(url, prefix, sizeof prefix - 1) != 0) {
        return false;
    }
    const char *slash = strchr(rest, '/');
    if (!slash || slash == rest || !slash[1]) {
        return false;
    }
    char *text = memory_need(strdup(rest)), *save = NULL;
    text[slash - rest] = '\0';
    buf_add_str(yaml, "{type: kafka, brokers: ");
    conf_quote(yaml, text);
    buf_add_str(yaml, ", topics: [");
    const char *comma = "";
    for (char *t = strtok_r(text + (slash - rest) + 1, ",", &save); t;
         t = strtok_r(NULL, ",", &save)) {
        buf_add_str(yaml, comma);
        conf_quote(yaml, t);
        comma = ", ";
    }
    buf_add_str(yaml, "]}");
    free(text);
    return true;
}

/* --- open and close --- */

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    (void)rk;
    from_kafka_take_error(opaque, (rd_kafka_resp_err_t)code, reason);
}

static void kafka_close(void *from)
{
    struct from_kafka *k = from;
    if (k->rk) {
        rd_kafka_queue_io_event_enable(k->queue, -1, NULL, 0);
        rd_kafka_queue_destroy(k->queue);
        rd_kafka_consumer_close(k->rk);
        rd_kafka_destroy(k->rk);
    }
    for (size_t i = 0; i < k->count; i++) {
        free(k->parts[i].topic);
    }
    if (k->wake_fd >= 0) {
        close(k->wake_fd);
    }
    buf_release(&k->headers);
    free(k->parts);
    free(k);
}

static int subscribe(struct from_kafka *k, const struct kafka_from_conf *conf, struct error *err)
{
    rd_kafka_topic_partition_list_t *topics =
        rd_kafka_topic_partition_list_new((int)conf->topics.count);
    for (size_t i = 0; i < conf->topics.count; i++) {
        rd_kafka_topic_partition_list_add(topics, conf->topics.items[i], RD_KAFKA_PARTITION_UA);
    }
    rd_kafka_resp_err_t code = rd_kafka_subscribe(k->rk, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    if (code) {
        return error_set(err, ERROR_CONFIG, "kafka", "from.topics: %s; correct the names",
                         rd_kafka_err2str(code));
    }
    return RESULT_DONE;
}

/* `k` outlives the client, which calls back with it. */
static int make_client(struct from_kafka *k, const struct kafka_from_conf *conf, struct error *err)
{
    char text[400];
    rd_kafka_conf_t *c;
    if (kafka_from_settings(conf, &k->env, &c, &k->latest, err)) {
        return RESULT_ERROR;
    }
    rd_kafka_conf_set_opaque(c, k);
    rd_kafka_conf_set_rebalance_cb(c, from_kafka_on_rebalance);
    rd_kafka_conf_set_error_cb(c, on_error);
    k->rk = rd_kafka_new(RD_KAFKA_CONSUMER, c, text, sizeof text);
    if (!k->rk) {
        rd_kafka_conf_destroy(c);
        return error_set(err, ERROR_CONFIG, "kafka",
                         "librdkafka refuses the properties of the consumer: %s; correct them in "
                         "from.properties",
                         text);
    }
    return RESULT_DONE;
}

static int connect_kafka(struct from_kafka *k, const struct kafka_from_conf *conf,
                         struct error *err)
{
    static const uint64_t one = 1;
    if (make_client(k, conf, err)) {
        return RESULT_ERROR;
    }
    rd_kafka_poll_set_consumer(k->rk);
    k->queue = rd_kafka_queue_get_consumer(k->rk);
    rd_kafka_queue_io_event_enable(k->queue, k->wake_fd, &one, sizeof one);
    return subscribe(k, conf, err);
}

/* A topic that begins with `^` is a pattern, which no topic has to fit yet. */
static int find_topic(const rd_kafka_metadata_t *all, const struct kafka_from_conf *conf,
                      const char *name, struct error *err)
{
    CLEANUP(buf_release) struct buf what = {0};
    for (int i = 0; i < all->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *t = &all->topics[i];
        if (strcmp(t->topic, name) == 0 && t->err) {
            buf_printf(&what, "topic %s: %s", name, rd_kafka_err2str(t->err));
            return from_kafka_fail(err, t->err, buf_str(&what));
        }
        if (strcmp(t->topic, name) == 0) {
            return RESULT_DONE;
        }
    }
    buf_printf(&what, "there is no topic %s at %s, or the consumer's user may not see it", name,
               conf->brokers);
    return *name == '^'
               ? RESULT_DONE
               : from_kafka_fail(err, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, buf_str(&what));
}

/* Asks for all topics: a question about one could make it. */
static int kafka_check(const void *from_conf, const struct from_env *env, struct error *err)
{
    enum { WAIT_MS = 5000 };
    const struct kafka_from_conf *conf = from_conf;
    struct from_kafka k = {.env = *env, .wake_fd = -1};
    const rd_kafka_metadata_t *all = NULL;
    if (make_client(&k, conf, err)) {
        return RESULT_ERROR;
    }
    rd_kafka_resp_err_t code = rd_kafka_metadata(k.rk, 1, NULL, &all, WAIT_MS);
    int rc = code ? from_kafka_fail(err, code, rd_kafka_err2str(code)) : RESULT_DONE;
    for (size_t i = 0; !rc && i < conf->topics.count; i++) {
        rc = find_topic(all, conf, conf->topics.items[i], err);
    }
    rd_kafka_metadata_destroy(all);
    rd_kafka_destroy(k.rk);
    free(k.parts);
    return rc;
}

static int kafka_open(const void *conf, const struct from_env *env, void **ret, struct error *err)
{
    struct from_kafka *k = memory_need(calloc(1, sizeof *k));
    k->env = *env;
    k->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (k->wake_fd < 0) {
        free(k);
        return error_set(err, ERROR_RETRY, "kafka",
                         "no descriptor is left; raise the limit of "
                         "open files (LimitNOFILE, ulimit -n)");
    }
    if (connect_kafka(k, conf, err)) {
        kafka_close(k);
        return RESULT_ERROR;
    }
    *ret = k;
    return RESULT_DONE;
}

/* --- reading --- */

static struct slice header_text(struct from_kafka *k, const rd_kafka_message_t *m, struct slice *id,
                                struct slice *type)
{
    rd_kafka_headers_t *list;
    const char *name;
    const void *value;
    size_t size;
    *id = *type = SLICE_NULL;
    if (rd_kafka_message_headers(m, &list)) {
        return SLICE_NULL;
    }
    buf_clear(&k->headers);
    buf_add_char(&k->headers, '{');
    for (size_t i = 0; !rd_kafka_header_get_all(list, i, &name, &value, &size); i++) {
        struct slice text = {value, value ? size : 0};
        size_t start = k->headers.len;
        *id = strcmp(name, "id") == 0 ? text : *id;
        *type = strcmp(name, "type") == 0 ? text : *type;
        buf_add_str(&k->headers, start > 1 ? "," : "");
        bool named = encode_json_string(&k->headers, slice_from(name));
        buf_add_char(&k->headers, ':');
        if (slice_is_null(text)) {
            buf_add_str(&k->headers, "null");
        } else if (!named || !encode_json_string(&k->headers, text)) {
            buf_truncate(&k->headers, start); /* bytes that are no text */
        }
    }
    buf_add_char(&k->headers, '}');
    return buf_slice(&k->headers);
}

static int take_message(struct from_kafka *k, const rd_kafka_message_t *m, from_take *take,
                        void *ctx)
{
    struct part *p = from_kafka_find_part(k, rd_kafka_topic_name(m->rkt), m->partition);
    struct incoming in;
    if (!p) {
        return RESULT_AGAIN; /* it is not ours any more */
    }
    p->at_end = false;
    in = (struct incoming){.stream = p->stream,
                           .number = m->offset,
                           .topic = slice_from(p->topic),
                           .key = {m->key, m->key ? m->key_len : 0},
                           .value = {m->payload, m->payload ? m->len : 0}};
    in.headers = header_text(k, m, &in.id, &in.type);
    take(ctx, &in);
    return RESULT_DONE;
}

static int lost(const rd_kafka_message_t *m, struct error *err)
{
    return error_exit(
        err, ERROR_CONFIG, EXIT_CODE_UNAVAILABLE, "kafka",
        "messages of %s/%" PRId32 " were deleted before they were read: %s; look what "
        "is missing, then set the group's offset (kafka-consumer-groups.sh "
        "--reset-offsets) and start again",
        m->rkt ? rd_kafka_topic_name(m->rkt) : "?", m->partition, rd_kafka_message_errstr(m));
}

/* One event of librdkafka. DONE: a message was given; AGAIN: it was something else. */
static int serve(struct from_kafka *k, const rd_kafka_message_t *m, from_take *take, void *ctx,
                 struct error *err)
{
    if (!m->err) {
        return take_message(k, m, take, ctx);
    }
    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        struct part *p = from_kafka_find_part(k, rd_kafka_topic_name(m->rkt), m->partition);
        if (p) {
            p->at_end = true;
        }
        return RESULT_AGAIN;
    }
    if (m->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) {
        return lost(m, err);
    }
    from_kafka_take_error(k, m->err, rd_kafka_message_errstr(m));
    return RESULT_AGAIN;
}

static int poll_some(struct from_kafka *k, size_t max, from_take *take, void *ctx,
                     struct error *err)
{
    for (size_t given = 0; given < max;) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(k->rk, 0);
        if (k->failure.class != ERROR_NONE) {
            *err = k->failure;
            error_clear(&k->failure);
            if (m) {
                rd_kafka_message_destroy(m);
            }
            return RESULT_ERROR;
        }
        if (!m) {
            return RESULT_AGAIN;
        }
        int rc = serve(k, m, take, ctx, err);
        rd_kafka_message_destroy(m);
        if (rc == RESULT_ERROR) {
            return rc;
        }
        given += rc == RESULT_DONE;
    }
    return RESULT_DONE;
}

static void commit_when_due(struct from_kafka *k)
{
    struct error err;
    if (clock_mono_us() >= k->commit_at_us && from_kafka_commit(k, false, &err)) {
        from_kafka_tell(k, err.text);
    }
}

static int kafka_read(void *from, size_t max, from_take *take, void *ctx, struct error *err)
{
    struct from_kafka *k = from;
    uint64_t times;
    ssize_t n UNUSED = read(k->wake_fd, &times, sizeof times);
    k->held_since_us = 0;
    from_kafka_pause_all(k, false);
    int rc = poll_some(k, max, take, ctx, err);
    commit_when_due(k);
    return rc;
}

/* The consumer has enough. A member that does not poll for long counts as dead in its group. So
 * after a while the partitions are paused, and it polls again. Not at once: a pause throws away
 * what was fetched already. */
static int kafka_hold(void *from, from_take *take, void *ctx, struct error *err)
{
    struct from_kafka *k = from;
    int64_t now = clock_mono_us();
    commit_when_due(k);
    k->held_since_us = k->held_since_us ? k->held_since_us : now;
    if (now - k->held_since_us < PAUSE_AFTER_US) {
        return RESULT_DONE;
    }
    from_kafka_pause_all(k, true);
    return poll_some(k, HOLD_MAX, take, ctx, err) == RESULT_ERROR ? RESULT_ERROR : RESULT_DONE;
}

static void kafka_poll(void *from, struct poll_set *set)
{
    struct from_kafka *k = from;
    poll_set_add(set, k->wake_fd, POLLIN);
    poll_set_deadline(set, clock_mono_us() + KAFKA_COMMIT_EVERY_US);
}

static bool kafka_idle(const void *from)
{
    const struct from_kafka *k = from;
    for (size_t i = 0; i < k->count; i++) {
        if (!k->parts[i].at_end) {
            return false;
        }
    }
    return k->assigned;
}

/* A partition tells its end once; paused and resumed it looks for it anew. */
static void kafka_look_again(void *from)
{
    struct from_kafka *k = from;
    for (size_t i = 0; i < k->count; i++) {
        k->parts[i].at_end = false;
    }
    from_kafka_pause_all(k, true); /* the next read resumes them */
}

static bool kafka_up(const void *from)
{
    return ((const struct from_kafka *)from)->assigned;
}

static void kafka_settled(void *from, const char *stream, int64_t number)
{
    struct from_kafka *k = from;
    for (size_t i = 0; i < k->count; i++) {
        if (strcmp(k->parts[i].stream, stream) == 0) {
            k->parts[i].settled = number + 1;
        }
    }
}

static int kafka_flush(void *from, struct error *err)
{
    return from_kafka_commit(from, true, err);
}

const struct from_ops from_kafka = {
    .name = "kafka",
    .help = "Kafka topics, read by a consumer group",
    .keys = kafka_from_keys,
    .conf_size = sizeof(struct kafka_from_conf),
    .keeps_positions = true,
    .from_url = from_url,
    .check = kafka_check,
    .open = kafka_open,
    .close = kafka_close,
    .read = kafka_read,
    .poll = kafka_poll,
    .hold = kafka_hold,
    .up = kafka_up,
    .idle = kafka_idle,
    .look_again = kafka_look_again,
    .settled = kafka_settled,
    .flush = kafka_flush,
};
