/* What the sinks of this tree write to, and readers that share nothing with them. */
#include "../unit/unit.h"

#include "patience.h"
#include "plugin_conf.h"
#include "sink_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void conf_new(struct rig *r)
{
    r->conf = plugin_conf_new(r->ops->keys, r->ops->conf_size, &r->conf_memory);
}

static void not_json(struct rig *r, struct event *e)
{
    (void)r;
    e->payload_kind = PAYLOAD_TEXT;
    e->payload = SLICE_LITERAL("\xff no text \xfe");
}

/* JSON lines with "id":"e<n>"; the last line may not be complete yet. Returns the bytes used. */
static size_t read_lines(struct rig *r, const char *text, size_t len)
{
    size_t used = 0;
    for (const char *end; (end = memchr(text + used, '\n', len - used));
         used = (size_t)(end - text) + 1) {
        static const char mark[] = "\"id\":\"e";
        const char *id = memmem(text + used, (size_t)(end - text) - used, mark, sizeof mark - 1);
        assert_non_null(id);
        rig_saw(r, atoi(id + sizeof mark - 1));
    }
    return used;
}

/* --- stdout, into a pipe --- */

struct pipe_end {
    int saved, fds[2];
    struct buf text;
    size_t used;
};

static void stdout_up(struct rig *r)
{
    struct pipe_end *p = calloc(1, sizeof *p);
    assert_non_null(p);
    r->own = p;
    conf_new(r);
    fflush(stdout);
    p->saved = dup(STDOUT_FILENO);
    assert_int_equal(pipe2(p->fds, O_CLOEXEC), 0);
    assert_true(fcntl(p->fds[0], F_SETFL, O_NONBLOCK) == 0);
    assert_true(dup2(p->fds[1], STDOUT_FILENO) >= 0);
}

static void stdout_down(struct rig *r)
{
    struct pipe_end *p = r->own;
    dup2(p->saved, STDOUT_FILENO);
    close(p->saved);
    close(p->fds[0]);
    close(p->fds[1]);
    buf_release(&p->text);
    free(p);
}

static void stdout_look(struct rig *r)
{
    struct pipe_end *p = r->own;
    char bytes[65536];
    for (ssize_t n; (n = read(p->fds[0], bytes, sizeof bytes)) > 0;) {
        buf_add(&p->text, bytes, (size_t)n);
    }
    p->used += read_lines(r, buf_str(&p->text) + p->used, p->text.len - p->used);
}

static void stdout_narrow(struct rig *r)
{
    struct pipe_end *p = r->own;
    assert_true(fcntl(p->fds[1], F_SETPIPE_SZ, 4096) >= 4096);
}

const struct sink_kind sink_kind_stdout = {
    .sink = "stdout",
    .up = stdout_up,
    .down = stdout_down,
    .look = stdout_look,
    .narrow = stdout_narrow,
    .spoil = not_json,
};

/* --- batch files --- */

static void file_up(struct rig *r)
{
    char dir[] = "/tmp/commitrelay-files-XXXXXX";
    assert_non_null(mkdtemp(dir));
    snprintf(r->where, sizeof r->where, "%s", dir);
    conf_new(r);
    plugin_conf_text(r->ops->keys, r->conf, "dir", r->where);
}

static void file_down(struct rig *r)
{
    char command[160];
    snprintf(command, sizeof command, "rm -rf '%s'", r->where);
    assert_int_equal(system(command), 0);
}

static int is_batch(const struct dirent *d)
{
    const char *dot = strrchr(d->d_name, '.');
    return d->d_name[0] != '.' && dot && strcmp(dot, ".jsonl") == 0;
}

/* Complete batches only, anew each time: by name they are in the order of delivery. */
static void file_look(struct rig *r)
{
    struct dirent **names;
    int n = scandir(r->where, &names, is_batch, alphasort);
    assert_true(n >= 0);
    r->saw_count = 0;
    for (int i = 0; i < n; i++) {
        char path[512], bytes[65536];
        CLEANUP(buf_release) struct buf content = {0};
        snprintf(path, sizeof path, "%s/%s", r->where, names[i]->d_name);
        FILE *f = fopen(path, "re");
        assert_non_null(f);
        for (size_t got; (got = fread(bytes, 1, sizeof bytes, f)) > 0;) {
            buf_add(&content, bytes, got);
        }
        fclose(f);
        assert_int_equal(read_lines(r, buf_str(&content), content.len), content.len);
        free(names[i]);
    }
    free(names);
}

static void file_narrow(struct rig *r)
{
    plugin_conf_number(r->ops->keys, r->conf, "rotate.events", 10);
}

const struct sink_kind sink_kind_file = {
    .sink = "file",
    .up = file_up,
    .down = file_down,
    .look = file_look,
    .narrow = file_narrow,
    .spoil = not_json,
};

/* --- a Kafka broker --- */

enum { PARTITIONS = 3 };

struct broker {
    rd_kafka_t *consumer;
    int64_t next[PARTITIONS];
    struct conf_pair pairs[2];
};

static void consumer_set(rd_kafka_conf_t *c, const char *name, const char *value)
{
    char why[256];
    if (rd_kafka_conf_set(c, name, value, why, sizeof why) != RD_KAFKA_CONF_OK) {
        fail_msg("%s", why);
    }
}

static rd_kafka_t *consumer_new(const char *brokers, const char *topic)
{
    char why[256];
    rd_kafka_conf_t *c = rd_kafka_conf_new();
    consumer_set(c, "bootstrap.servers", brokers);
    consumer_set(c, "group.id", "contract");
    consumer_set(c, "fetch.wait.max.ms", "10");
    consumer_set(c, "log_level", "0");
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, c, why, sizeof why);
    assert_non_null(rk);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(PARTITIONS);
    for (int p = 0; p < PARTITIONS; p++) {
        rd_kafka_topic_partition_list_add(list, topic, p)->offset = 0;
    }
    assert_int_equal(rd_kafka_assign(rk, list), 0);
    rd_kafka_topic_partition_list_destroy(list);
    return rk;
}

/* run.py has made the topics contract-1, contract-2 ...: one for each case. */
static void kafka_up(struct rig *r)
{
    static int cases;
    const char *brokers = getenv("COMMITRELAY_TEST_KAFKA");
    struct broker *b = calloc(1, sizeof *b);
    if (!brokers || !b) {
        fail_msg("COMMITRELAY_TEST_KAFKA is not set: it must name a broker for tests");
    }
    r->own = b;
    snprintf(r->where, sizeof r->where, "contract-%d", ++cases);
    r->env.fixed_topic = r->where;
    conf_new(r);
    plugin_conf_text(r->ops->keys, r->conf, "brokers", brokers);
    b->consumer = consumer_new(brokers, r->where);
}

static void kafka_down(struct rig *r)
{
    struct broker *b = r->own;
    rd_kafka_destroy(b->consumer);
    free(b);
}

static bool at_end(struct rig *r, const int64_t *ends)
{
    struct broker *b = r->own;
    for (int p = 0; p < PARTITIONS; p++) {
        if (b->next[p] < ends[p]) {
            return false;
        }
    }
    return true;
}

/* A new topic's partitions take a moment to have their leader. */
static int64_t end_of(rd_kafka_t *consumer, const char *topic, int partition)
{
    int64_t low, end, until = clock_mono_us() + PATIENCE_US;
    while (rd_kafka_query_watermark_offsets(consumer, topic, partition, &low, &end, 1000)) {
        assert_true(clock_mono_us() < until);
    }
    return end;
}

/* Up to where the broker itself says its partitions end now. */
static void kafka_look(struct rig *r)
{
    struct broker *b = r->own;
    int64_t ends[PARTITIONS];
    for (int p = 0; p < PARTITIONS; p++) {
        ends[p] = end_of(b->consumer, r->where, p);
    }
    int64_t until = clock_mono_us() + PATIENCE_US;
    while (!at_end(r, ends)) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(b->consumer, 100);
        assert_true(clock_mono_us() < until);
        if (m && !m->err) {
            char value[16];
            snprintf(value, sizeof value, "%.*s", (int)m->len, (const char *)m->payload);
            assert_int_equal(m->offset, b->next[m->partition]);
            b->next[m->partition] = m->offset + 1;
            rig_saw(r, atoi(value));
        }
        if (m) {
            rd_kafka_message_destroy(m);
        }
    }
}

static void properties(struct rig *r, const char *name, const char *value)
{
    struct broker *b = r->own;
    struct conf_map map = {b->pairs, 1};
    b->pairs[0] = (struct conf_pair){(char *)(uintptr_t)name, (char *)(uintptr_t)value};
    plugin_conf_map(r->ops->keys, r->conf, "properties", &map);
}

static void kafka_narrow(struct rig *r)
{
    properties(r, "queue.buffering.max.messages", "20");
}

static void too_large(struct rig *r, struct event *e)
{
    enum { BYTES = 80 << 20 };
    char *value = arena_bytes(&r->batch->arena, BYTES);
    memset(value, 'x', BYTES);
    e->value = (struct slice){value, BYTES};
}

const struct sink_kind sink_kind_kafka = {
    .sink = "kafka",
    .up = kafka_up,
    .down = kafka_down,
    .look = kafka_look,
    .narrow = kafka_narrow,
    .spoil = too_large,
};
