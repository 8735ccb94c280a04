/* The sink amqp against a server that follows a script (fake_peer.h). */
#include "unit.h"

#include "contract/sink.h"
#include "sink/amqp/conf.h"

#include "fake_peer.h"

extern const struct sink_ops sink_amqp;

enum { TURNS = 100000 };

struct rig {
    struct peer peer;
    struct amqp_conf conf;
    struct sink_env env;
    void *sink;
    struct batch *batch;
    struct sink_report report;
    struct error err;
    char url[128], address[64], notes[2048], reported[4096];
    size_t put;
    uint64_t base; /* event n has the token base + n */
};

static void keep_note(void *ctx, int level, const char *text)
{
    struct rig *r = ctx;
    size_t used = strlen(r->notes);
    (void)level;
    snprintf(r->notes + used, sizeof r->notes - used, "%s\n", text);
}

static int rig_up(void **state)
{
    static char nothing[] = "";
    struct rig *r = calloc(1, sizeof *r);
    assert_non_null(r);
    peer_listen(&r->peer);
    snprintf(r->url, sizeof r->url, "amqp://127.0.0.1:%d", r->peer.port);
    snprintf(r->address, sizeof r->address, "orders");
    r->conf =
        (struct amqp_conf){.url = r->url,
                           .address = r->address,
                           .durable = true,
                           .idle_timeout_us = 60 * US_PER_SECOND,
                           .net = {.connect_timeout_us = 60 * US_PER_SECOND,
                                   .stall_timeout_us = 60 * US_PER_SECOND,
                                   .username = nothing,
                                   .password = nothing,
                                   .tls = {nothing, nothing, nothing, nothing, .verify = true}}};
    r->env = (struct sink_env){
        .pipeline = "p", .max_in_flight = 50, .stop_fd = -1, .note = keep_note, .note_ctx = r};
    r->batch = batch_new();
    *state = r;
    return 0;
}

static int rig_down(void **state)
{
    struct rig *r = *state;
    sink_amqp.close(r->sink);
    peer_free(&r->peer);
    batch_free(r->batch);
    free(r);
    return 0;
}

/* A moment for what is on its way through the kernel. */
static void turn(struct rig *r)
{
    struct poll_set set;
    peer_serve(&r->peer);
    poll_set_clear(&set);
    sink_amqp.poll_fds(r->sink, &set);
    poll_set_deadline(&set, clock_mono_us() + US_PER_MS);
    poll_set_wait(&set);
}

static int start(struct rig *r)
{
    int rc = RESULT_AGAIN;
    for (int i = 0; i < TURNS && rc == RESULT_AGAIN; i++) {
        rc = sink_amqp.start(r->sink, 1, &r->err);
        turn(r);
    }
    assert_int_not_equal(rc, RESULT_AGAIN);
    return rc;
}

static int open_and_start(struct rig *r)
{
    size_t max;
    if (sink_amqp.open(&r->conf, &r->env, &r->sink, &max, &r->err)) {
        fail_msg("open: %s", r->err.text);
    }
    return start(r);
}

static void started(struct rig *r)
{
    if (open_and_start(r)) {
        fail_msg("start: %s", r->err.text);
    }
}

/* Event n: id e<n>. */
static struct event *add_event(struct rig *r, const char *key)
{
    static const struct header h[] = {{SLICE_LITERAL("id"), SLICE_LITERAL("")},
                                      {SLICE_LITERAL("trace"), SLICE_LITERAL("t 1")},
                                      {SLICE_LITERAL("none"), {NULL, 0}}};
    char id[16];
    struct event *e = batch_add(r->batch);
    struct header *headers = arena_array(&r->batch->arena, 3, sizeof *headers);
    memcpy(headers, h, sizeof h);
    snprintf(id, sizeof id, "e%zu", r->batch->count);
    e->id = headers[0].value = arena_copy(&r->batch->arena, slice_from(id));
    e->type = (struct slice)SLICE_LITERAL("Made");
    e->topic = (struct slice)SLICE_LITERAL("orders");
    e->key = slice_from(key);
    e->value = e->payload = (struct slice)SLICE_LITERAL("{}");
    e->payload_kind = PAYLOAD_JSON;
    e->created_at_us = INT64_C(1700000000123456);
    e->out_headers = headers;
    e->out_headers_count = 3;
    return e;
}

/* Puts what was added and not put. */
static int put(struct rig *r)
{
    size_t taken;
    int rc = sink_amqp.put(r->sink, r->batch, r->put, r->batch->count, r->base + r->put + 1, &taken,
                           &r->err);
    r->put += taken;
    return rc;
}

/* The answer of `collect`; what it delivered is added to r->reported as "1 2 ", poison as "!3 ". */
static int collect(struct rig *r)
{
    r->report.count = 0;
    int rc = sink_amqp.collect(r->sink, &r->report, &r->err);
    for (size_t i = 0; i < r->report.count; i++) {
        size_t used = strlen(r->reported);
        const struct sink_result *one = &r->report.results[i];
        snprintf(r->reported + used, sizeof r->reported - used, "%s%d ",
                 one->outcome == SINK_DELIVERED ? "" : "!", (int)one->token);
    }
    return rc;
}

static void says(const char *text, const char *piece)
{
    if (!strstr(text, piece)) {
        fail_msg("\"%s\" is not in: %s", piece, text);
    }
}

/* Turns until the reports are these. */
static void expect(struct rig *r, const char *reports)
{
    for (int i = 0; i < TURNS && strlen(r->reported) < strlen(reports); i++) {
        if (collect(r)) {
            fail_msg("collect: %s", r->err.text);
        }
        if (strlen(r->reported) < strlen(reports)) {
            turn(r);
        }
    }
    assert_string_equal(r->reported, reports);
}

/* Turns until the server has n messages. */
static void arrived(struct rig *r, size_t n)
{
    for (int i = 0; i < TURNS && r->peer.messages < n; i++) {
        assert_int_equal(collect(r), RESULT_DONE);
        turn(r);
    }
    assert_int_equal(r->peer.messages, n);
}

/* A few turns in which nothing may happen. */
static void settle(struct rig *r)
{
    for (int i = 0; i < 5; i++) {
        assert_int_equal(collect(r), RESULT_DONE);
        turn(r);
    }
}

/* Turns until the reports are so long, in whatever order they come, and hold this one. */
static void expect_also(struct rig *r, size_t length, const char *report)
{
    for (int i = 0; i < TURNS && strlen(r->reported) < length; i++) {
        assert_int_equal(collect(r), RESULT_DONE);
        turn(r);
    }
    assert_int_equal(strlen(r->reported), length);
    assert_non_null(strstr(r->reported, report));
}

/* Puts all from the beginning, as the pipeline does after a start: with new tokens. */
static void put_again(struct rig *r)
{
    r->put = 0;
    r->base += 100;
    assert_int_equal(put(r), RESULT_DONE);
}

/* Turns until the sink fails. */
static void fails(struct rig *r, enum error_class class, const char *text)
{
    int rc = RESULT_DONE;
    for (int i = 0; i < TURNS && rc == RESULT_DONE; i++) {
        rc = collect(r);
        turn(r);
    }
    assert_int_equal(rc, RESULT_ERROR);
    assert_non_null(strstr(r->err.text, text));
    assert_int_equal(r->err.class, class);
}

/* --- messages --- */

static void text_is(pn_bytes_t got, const char *want)
{
    assert_int_equal(got.size, strlen(want));
    assert_memory_equal(got.start, want, got.size);
}

static void an_event_is_a_message(void **state)
{
    struct rig *r = *state;
    started(r);
    add_event(r, "k1");
    assert_int_equal(put(r), RESULT_DONE);
    expect(r, "1 ");
    assert_string_equal(r->peer.log, "send orders queue\ne1 orders\n");
    pn_message_t *m = r->peer.last;
    assert_true(pn_message_is_durable(m));
    assert_string_equal(pn_message_get_subject(m), "Made");
    assert_string_equal(pn_message_get_group_id(m), "k1");
    assert_string_equal(pn_message_get_address(m), "orders");
    assert_string_equal(pn_message_get_content_type(m), "application/json");
    assert_int_equal(pn_message_get_creation_time(m), INT64_C(1700000000123));
    assert_true(pn_message_is_inferred(m)); /* a data section */
    pn_data_t *d = pn_message_body(m);
    pn_data_rewind(d);
    assert_true(pn_data_next(d));
    text_is(pn_data_get_binary(d), "{}");
    d = pn_message_properties(m);
    pn_data_rewind(d);
    assert_true(pn_data_next(d));
    assert_int_equal(pn_data_get_map(d), 8);
    pn_data_enter(d);
    static const char *const want[] = {"_AMQ_DUPL_ID", "e1", "id", "e1", "trace", "t 1", "none"};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        assert_true(pn_data_next(d));
        text_is(pn_data_get_string(d), want[i]);
    }
    assert_true(pn_data_next(d));
    assert_int_equal(pn_data_type(d), PN_NULL);
}

/* Artemis accepts and drops what it knows: a retry, a replay and a copy are not what it knows. */
static void what_is_sent_on_purpose_is_another_sending(void **state)
{
    struct rig *r = *state;
    started(r);
    add_event(r, "k1")->again = SLICE_LITERAL("replay-1");
    assert_int_equal(put(r), RESULT_DONE);
    expect(r, "1 ");
    text_is(pn_message_get_id(r->peer.last).u.as_bytes, "e1");
    pn_data_t *d = pn_message_properties(r->peer.last);
    pn_data_rewind(d);
    pn_data_next(d);
    pn_data_enter(d);
    pn_data_next(d);
    text_is(pn_data_get_string(d), "_AMQ_DUPL_ID");
    pn_data_next(d);
    text_is(pn_data_get_string(d), "e1:replay-1");
}

static void a_tombstone_and_bytes_keep_their_form(void **state)
{
    struct rig *r = *state;
    r->conf.durable = false;
    started(r);
    says(r->notes, "sink.durable is off");
    struct event *e = add_event(r, NULL);
    e->value = e->payload = SLICE_NULL;
    e->type = SLICE_NULL;
    assert_int_equal(put(r), RESULT_DONE);
    expect(r, "1 ");
    pn_message_t *m = r->peer.last;
    assert_false(pn_message_is_durable(m));
    assert_null(pn_message_get_group_id(m));
    assert_null(pn_message_get_subject(m));
    assert_null(pn_message_get_content_type(m));
    pn_data_t *d = pn_message_body(m);
    pn_data_rewind(d);
    assert_true(!pn_data_next(d) || pn_data_type(d) == PN_NULL);
    e = add_event(r, NULL);
    e->value = e->payload = (struct slice)SLICE_LITERAL("\0\xff");
    e->payload_kind = PAYLOAD_BYTES;
    assert_int_equal(put(r), RESULT_DONE);
    expect(r, "1 2 ");
    assert_string_equal(pn_message_get_content_type(m), "application/octet-stream");
}

static void cloud_events_have_the_names_of_their_binding(void **state)
{
    static const struct header h[] = {
        {SLICE_LITERAL("ce_specversion"), SLICE_LITERAL("1.0")},
        {SLICE_LITERAL("content-type"), SLICE_LITERAL("application/x-made")},
        {SLICE_LITERAL("own"), SLICE_LITERAL("x")},
        {SLICE_LITERAL("own"), SLICE_LITERAL("y")}};
    struct rig *r = *state;
    started(r);
    struct event *e = add_event(r, "k");
    e->out_headers = h;
    e->out_headers_count = 4;
    assert_int_equal(put(r), RESULT_DONE);
    expect(r, "1 ");
    assert_string_equal(pn_message_get_content_type(r->peer.last), "application/x-made");
    pn_data_t *d = pn_message_properties(r->peer.last);
    static const char *const want[] = {"_AMQ_DUPL_ID", "e1",  "cloudEvents_specversion",
                                       "1.0",          "own", "y"};
    pn_data_rewind(d);
    pn_data_next(d);
    assert_int_equal(pn_data_get_map(d), 6);
    pn_data_enter(d);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        assert_true(pn_data_next(d));
        text_is(pn_data_get_string(d), want[i]);
    }
}

static void what_amqp_cannot_carry_is_poison(void **state)
{
    static const struct header order[] = {
        {SLICE_LITERAL("_AMQ_SCHED_DELIVERY"), SLICE_LITERAL("9")}};
    static const struct {
        const char *text;
        struct slice id, type, key, topic;
        const struct header *headers;
    } cases[] = {
        {"no id", {"", 0}, SLICE_LITERAL("t"), SLICE_LITERAL("k"), SLICE_LITERAL("a"), NULL},
        {"the event's type is no text", SLICE_LITERAL("i"), SLICE_LITERAL("\xff"),
         SLICE_LITERAL("k"), SLICE_LITERAL("a"), NULL},
        {"the event's key is no text", SLICE_LITERAL("i"), SLICE_LITERAL("t"),
         SLICE_LITERAL("a\0b"), SLICE_LITERAL("a"), NULL},
        {"has a blank", SLICE_LITERAL("i"), SLICE_LITERAL("t"), SLICE_LITERAL("k"),
         SLICE_LITERAL("a b"), NULL},
        {"the broker's own", SLICE_LITERAL("i"), SLICE_LITERAL("t"), SLICE_LITERAL("k"),
         SLICE_LITERAL("activemq.management"), NULL},
        {"an order to the broker", SLICE_LITERAL("i"), SLICE_LITERAL("t"), SLICE_LITERAL("k"),
         SLICE_LITERAL("a"), order},
    };
    struct rig *r = *state;
    snprintf(r->address, sizeof r->address, "{topic}");
    started(r);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct event *e = add_event(r, "k");
        e->id = cases[i].id;
        e->type = cases[i].type;
        e->key = cases[i].key;
        e->topic = cases[i].topic;
        e->out_headers = cases[i].headers;
        e->out_headers_count = cases[i].headers ? 1 : 0;
        assert_int_equal(put(r), RESULT_ERROR);
        assert_int_equal(r->err.class, ERROR_POISON);
        says(r->err.text, cases[i].text);
        r->put++;
    }
    add_event(r, "k"); /* the sink is fine */
    assert_int_equal(put(r), RESULT_DONE);
    expect(r, "7 ");
}

/* --- delivery and order --- */

static void only_an_accepted_event_is_delivered(void **state)
{
    struct rig *r = *state;
    r->peer.holds = true;
    started(r);
    add_event(r, "a");
    assert_int_equal(put(r), RESULT_DONE);
    arrived(r, 1);
    settle(r);
    assert_string_equal(r->reported, "");
    peer_let_go(&r->peer);
    expect(r, "1 ");
}

static void the_next_of_a_key_waits_for_its_turn(void **state)
{
    struct rig *r = *state;
    r->peer.holds = true;
    started(r);
    add_event(r, "a");
    add_event(r, "a");
    add_event(r, "b");
    assert_int_equal(put(r), RESULT_DONE);
    arrived(r, 2);
    settle(r);
    says(r->peer.log, "e1 orders\ne3 orders\n");
    assert_int_equal(r->peer.messages, 2);
    peer_let_go(&r->peer);
    expect(r, "1 3 2 ");
}

static void a_rejected_event_is_poison_and_its_neighbours_are_delivered(void **state)
{
    struct rig *r = *state;
    r->peer.refuse = "e2";
    r->peer.error = "amqp:precondition-failed";
    started(r);
    add_event(r, "a");
    add_event(r, "b");
    add_event(r, "b");
    add_event(r, "c");
    assert_int_equal(put(r), RESULT_DONE);
    for (int i = 0; i < TURNS && !strstr(r->reported, "!2 "); i++) {
        assert_null(strstr(r->peer.log, "e3 ")); /* its key stands still until then */
        assert_int_equal(collect(r), RESULT_DONE);
        turn(r);
    }
    says(r->reported, "!2 ");
    assert_int_equal(r->report.error.class, ERROR_POISON);
    says(r->report.error.text, "the script says so");
    expect_also(r, strlen("1 !2 3 4 "), "4 ");
    says(r->reported, "3 ");
}

static void a_released_event_is_sent_again_on_the_same_connection(void **state)
{
    struct rig *r = *state;
    r->peer.refuse = "e1";
    started(r);
    add_event(r, "a");
    add_event(r, "a");
    assert_int_equal(put(r), RESULT_DONE);
    fails(r, ERROR_RETRY, "has given an event for the address \"orders\" back");
    r->peer.refuse = NULL;
    assert_int_equal(start(r), RESULT_DONE);
    put_again(r);
    expect(r, "101 102 ");
    assert_int_equal(r->peer.connections, 1);
    says(r->peer.log, "e1 orders\ne1 orders\ne2 orders\n");
}

static void a_full_address_is_busy(void **state)
{
    struct rig *r = *state;
    r->peer.refuse = "e1";
    r->peer.error = "amqp:resource-limit-exceeded";
    started(r);
    add_event(r, "a");
    assert_int_equal(put(r), RESULT_DONE);
    fails(r, ERROR_BUSY, "takes no events for now");
    assert_true(r->err.retry_after_us > 0);
}

static void without_credit_nothing_more_is_taken(void **state)
{
    struct rig *r = *state;
    r->peer.credit = 1;
    started(r);
    for (int i = 0; i < 4; i++) {
        add_event(r, NULL);
    }
    for (int i = 0; i < TURNS && r->put == 0; i++) {
        assert_int_equal(put(r), RESULT_DONE);
        turn(r);
    }
    expect(r, "1 ");
    settle(r);
    assert_int_equal(put(r), RESULT_DONE);
    assert_true(r->put < 4);
    assert_int_equal(r->peer.messages, 1);
    pn_link_flow(r->peer.link, 10);
    for (int i = 0; i < TURNS && r->put < 4; i++) {
        assert_int_equal(put(r), RESULT_DONE);
        turn(r);
    }
    expect(r, "1 2 3 4 ");
}

static void one_that_is_too_large_is_poison(void **state)
{
    static char large[2000];
    struct rig *r = *state;
    memset(large, 'x', sizeof large);
    r->peer.max_size = 1000;
    started(r);
    add_event(r, "a");
    struct event *e = add_event(r, "b");
    e->value = e->payload = (struct slice){large, sizeof large};
    add_event(r, "c");
    assert_int_equal(put(r), RESULT_DONE);
    for (int i = 0; i < TURNS && !strstr(r->reported, "!2 "); i++) {
        assert_int_equal(collect(r), RESULT_DONE);
        turn(r);
    }
    says(r->report.error.text, "takes 1000 at the address");
    expect_also(r, strlen("1 !2 3 "), "3 ");
}

static void frames_of_the_smallest_size_do(void **state)
{
    static char large[50000];
    struct rig *r = *state;
    memset(large, 'x', sizeof large);
    r->peer.max_frame = 512;
    started(r);
    for (int i = 0; i < 3; i++) {
        struct event *e = add_event(r, "a");
        e->value = e->payload = (struct slice){large, sizeof large};
    }
    assert_int_equal(put(r), RESULT_DONE);
    expect(r, "1 2 3 ");
    pn_data_t *d = pn_message_body(r->peer.last);
    pn_data_rewind(d);
    assert_true(pn_data_next(d));
    assert_int_equal(pn_data_get_binary(d).size, sizeof large);
}

static void undeliverable_here(pn_delivery_t *d)
{
    pn_disposition_set_undeliverable(pn_delivery_local(d), true);
    pn_delivery_update(d, PN_MODIFIED);
}

static void what_is_given_back_for_good_is_poison(void **state)
{
    struct rig *r = *state;
    r->peer.refuse = "e1";
    r->peer.outcome = undeliverable_here;
    started(r);
    add_event(r, "a");
    assert_int_equal(put(r), RESULT_DONE);
    expect(r, "!1 ");
    says(r->report.error.text, "undeliverable-here");
}

static void nothing(pn_delivery_t *d)
{
    (void)d;
}

static void a_settled_message_without_an_outcome_is_sent_again(void **state)
{
    struct rig *r = *state;
    r->peer.refuse = "e1";
    r->peer.outcome = nothing;
    started(r);
    add_event(r, "a");
    assert_int_equal(put(r), RESULT_DONE);
    fails(r, ERROR_RETRY, "has given an event for the address \"orders\" back");
}

/* --- addresses --- */

static void a_missing_address_is_seen_at_the_start(void **state)
{
    struct rig *r = *state;
    r->peer.missing = "orders";
    assert_int_equal(open_and_start(r), RESULT_ERROR);
    assert_int_equal(r->err.class, ERROR_CONFIG);
    says(r->err.text, "there is no address \"orders\" that keeps events");
}

/* Artemis says it for each message that comes then. */
static void a_queue_that_has_gone_is_no_events_fault(void **state)
{
    struct rig *r = *state;
    r->peer.refuse = "e1";
    r->peer.error = "failed";
    r->peer.why = "AMQ119002: target address orders does not exist";
    started(r);
    add_event(r, "a");
    assert_int_equal(put(r), RESULT_DONE);
    fails(r, ERROR_CONFIG, "there is no address \"orders\" that keeps events");
    assert_string_equal(r->reported, "");
}

static void an_address_of_one_event_that_has_gone_is_that_events_fault(void **state)
{
    struct rig *r = *state;
    snprintf(r->address, sizeof r->address, "{topic}");
    r->peer.refuse = "e1";
    r->peer.error = "amqp:not-found";
    started(r);
    add_event(r, "a");
    assert_int_equal(put(r), RESULT_DONE);
    expect(r, "!1 ");
}

static void a_link_that_ends_ends_the_connection(void **state)
{
    struct rig *r = *state;
    started(r);
    peer_end_link(r->peer.link, "amqp:resource-deleted");
    fails(r, ERROR_RETRY, "has ended the link to the address \"orders\"");
    assert_int_equal(start(r), RESULT_DONE);
    assert_int_equal(r->peer.connections, 2);
}

static void a_missing_address_of_one_event_is_that_events_fault(void **state)
{
    struct rig *r = *state;
    r->peer.missing = "nowhere";
    snprintf(r->address, sizeof r->address, "{topic}");
    started(r);
    add_event(r, "a");
    add_event(r, "b")->topic = (struct slice)SLICE_LITERAL("nowhere");
    add_event(r, "c");
    for (int i = 0; i < TURNS && r->put < 3; i++) {
        assert_int_equal(put(r), RESULT_DONE);
        assert_int_equal(collect(r), RESULT_DONE);
        turn(r);
    }
    expect_also(r, strlen("1 !2 3 "), "!2 ");
    says(r->reported, "3 ");
    assert_null(strstr(r->peer.log, "e2 "));
}

static void a_topic_is_asked_for_and_warned_about(void **state)
{
    struct rig *r = *state;
    r->conf.kind = AMQP_TOPIC;
    started(r);
    says(r->notes, "sink.kind is topic");
    assert_string_equal(r->peer.log, "send orders topic\n");
}

/* --- connections --- */

static void servers_are_tried_in_turn(void **state)
{
    struct rig *r = *state;
    int alive = r->peer.port;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0); /* nobody listens */
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    snprintf(r->url, sizeof r->url, "amqp://127.0.0.1:%d,amqp1://127.0.0.1:%d", ntohs(at.sin_port),
             alive);
    started(r);
    add_event(r, "a");
    assert_int_equal(put(r), RESULT_DONE);
    expect(r, "1 ");
    close(fd);
}

static void a_refused_login_is_the_operators(void **state)
{
    static char user[] = "relay", password[] = "hunter2";
    struct rig *r = *state;
    r->conf.net.username = user;
    r->conf.net.password = password;
    assert_int_equal(open_and_start(r), RESULT_ERROR); /* the server takes ANONYMOUS only */
    assert_int_equal(r->err.class, ERROR_CONFIG);
    assert_int_equal(r->err.exit_code, EXIT_CODE_PERMISSION);
    says(r->err.text, "refuses the login");
    assert_null(strstr(r->err.text, "hunter2"));
}

/* SASL: its header, the mechanism PLAIN, and the outcome `temp`: a directory that is away, say. */
static void a_login_that_fails_for_now_is_tried_again(void **state)
{
    static const char offer[] = "AMQP\3\1\0\0\0\0\0\x15\2\1\0\0\0\x53\x40\xc0\x08\1\xa3\5PLAIN",
                      outcome[] = "\0\0\0\x10\2\1\0\0\0\x53\x44\xc0\3\1\x50\4";
    static char user[] = "relay", password[] = "hunter2";
    struct rig *r = *state;
    r->peer.greeting = offer;
    r->peer.greeting_size = sizeof offer - 1;
    r->peer.parting = outcome;
    r->peer.parting_size = sizeof outcome - 1;
    r->conf.net.username = user;
    r->conf.net.password = password;
    assert_int_equal(open_and_start(r), RESULT_ERROR);
    assert_int_equal(r->err.class, ERROR_RETRY);
    says(r->err.text, "cannot say whether the login is right");
}

static void a_redirect_is_the_operators(void **state)
{
    struct rig *r = *state;
    r->peer.redirect = "b.example";
    assert_int_equal(open_and_start(r), RESULT_ERROR);
    assert_int_equal(r->err.class, ERROR_CONFIG);
    says(r->err.text, "sends the relay to b.example:5673");
}

/* The relay stood still for longer than idle_timeout, and the server did not. Silence is what is
 * tested, so time passes here. */
static void a_server_that_was_not_listened_to_is_not_silent(void **state)
{
    struct rig *r = *state;
    r->conf.idle_timeout_us = 100 * US_PER_MS;
    started(r);
    settle(r);
    int64_t until = clock_mono_us() + 150 * US_PER_MS;
    while (clock_mono_us() < until) {
        pn_link_flow(r->peer.link, 1);
        peer_serve(&r->peer);
        poll(NULL, 0, 10);
    }
    if (collect(r)) {
        fail_msg("collect: %s", r->err.text);
    }
}

/* What was sent before a start fills the socket; what is put then never gets its turn. */
static void a_server_that_reads_nothing_is_left(void **state)
{
    static char large[300000];
    struct rig *r = *state;
    int little = 4096;
    memset(large, 'x', sizeof large);
    assert_int_equal(setsockopt(r->peer.listener, SOL_SOCKET, SO_RCVBUF, &little, sizeof little),
                     0);
    started(r);
    for (int i = 0; i < 50; i++) {
        struct event *e = add_event(r, NULL);
        e->value = e->payload = (struct slice){large, sizeof large};
    }
    for (int i = 0; i < 10; i++) {
        assert_int_equal(put(r), RESULT_DONE);
        assert_int_equal(collect(r), RESULT_DONE);
    }
    assert_true(r->put < 50);
    assert_int_equal(sink_amqp.start(r->sink, 1, &r->err), RESULT_DONE); /* the same connection */
    r->conf.net.stall_timeout_us = 20 * US_PER_MS;
    put_again(r);
    int rc = RESULT_DONE;
    for (int64_t until = clock_mono_us() + 10 * US_PER_SECOND;
         rc == RESULT_DONE && clock_mono_us() < until;) {
        struct poll_set set;
        poll_set_clear(&set);
        sink_amqp.poll_fds(r->sink, &set);
        poll_set_deadline(&set, until);
        poll_set_wait(&set);
        rc = collect(r);
    }
    assert_int_equal(rc, RESULT_ERROR);
    says(r->err.text, "has not answered to an event");
}

static void another_protocol_is_named(void **state)
{
    struct rig *r = *state;
    r->peer.greeting = "AMQP\0\0\x09\x01";
    r->peer.greeting_size = 8;
    assert_int_equal(open_and_start(r), RESULT_ERROR);
    assert_int_equal(r->err.class, ERROR_CONFIG);
    says(r->err.text, "does not speak AMQP 1.0 there");
}

static void a_lost_connection_is_made_again_and_nothing_is_lost(void **state)
{
    struct rig *r = *state;
    r->peer.holds = true;
    started(r);
    add_event(r, "a");
    assert_int_equal(put(r), RESULT_DONE);
    arrived(r, 1);
    peer_drop(&r->peer);
    fails(r, ERROR_RETRY, "the connection has ended");
    r->peer.holds = false;
    assert_int_equal(start(r), RESULT_DONE);
    put_again(r);
    expect(r, "101 ");
    assert_int_equal(r->peer.connections, 2);
}

static void a_server_that_never_answers_is_left(void **state)
{
    struct rig *r = *state;
    r->peer.holds = true;
    r->conf.net.stall_timeout_us = US_PER_MS;
    started(r);
    add_event(r, "a");
    assert_int_equal(put(r), RESULT_DONE);
    fails(r, ERROR_RETRY, "has not answered to an event");
    assert_string_equal(r->err.code, "stalled");
    assert_int_equal(start(r), RESULT_DONE);
    assert_int_equal(r->peer.connections, 2);
    assert_int_equal(r->peer.last_end, ECONNRESET); /* what was not sent yet never comes */
    assert_false(r->peer.goodbye);
}

static void a_connection_with_nothing_under_way_ends_with_a_goodbye(void **state)
{
    struct rig *r = *state;
    started(r);
    add_event(r, "a");
    assert_int_equal(put(r), RESULT_DONE);
    expect(r, "1 ");
    sink_amqp.close(r->sink);
    r->sink = NULL;
    for (int i = 0; i < TURNS && !r->peer.goodbye; i++) {
        peer_serve(&r->peer);
    }
    assert_true(r->peer.goodbye);
    assert_int_equal(peer_how_ended(&r->peer), 0);
}

/* Some brokers end the link of one connection when another of the same container takes its name: a
 * `check` would end the relay's. */
static void names_of_links_are_never_the_same(void **state)
{
    struct rig *r = *state;
    char name[160];
    size_t max;
    started(r);
    snprintf(name, sizeof name, "%s", pn_link_name(r->peer.link));
    sink_amqp.close(r->sink);
    assert_int_equal(sink_amqp.open(&r->conf, &r->env, &r->sink, &max, &r->err), RESULT_DONE);
    assert_int_equal(start(r), RESULT_DONE);
    assert_string_not_equal(pn_link_name(r->peer.link), name);
}

static void answers_to_old_tokens_complete_nothing(void **state)
{
    struct rig *r = *state;
    r->peer.holds = true;
    started(r);
    add_event(r, "a");
    assert_int_equal(put(r), RESULT_DONE);
    arrived(r, 1);
    assert_int_equal(start(r), RESULT_DONE);
    peer_let_go(&r->peer);
    settle(r);
    assert_string_equal(r->reported, "");
    assert_int_equal(r->peer.connections, 1);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, rig_up, rig_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_event_is_a_message),
        CASE(what_is_sent_on_purpose_is_another_sending),
        CASE(a_tombstone_and_bytes_keep_their_form),
        CASE(cloud_events_have_the_names_of_their_binding),
        CASE(what_amqp_cannot_carry_is_poison),
        CASE(only_an_accepted_event_is_delivered),
        CASE(the_next_of_a_key_waits_for_its_turn),
        CASE(a_rejected_event_is_poison_and_its_neighbours_are_delivered),
        CASE(a_released_event_is_sent_again_on_the_same_connection),
        CASE(a_full_address_is_busy),
        CASE(without_credit_nothing_more_is_taken),
        CASE(one_that_is_too_large_is_poison),
        CASE(a_missing_address_is_seen_at_the_start),
        CASE(a_queue_that_has_gone_is_no_events_fault),
        CASE(an_address_of_one_event_that_has_gone_is_that_events_fault),
        CASE(a_link_that_ends_ends_the_connection),
        CASE(a_missing_address_of_one_event_is_that_events_fault),
        CASE(a_topic_is_asked_for_and_warned_about),
        CASE(servers_are_tried_in_turn),
        CASE(a_refused_login_is_the_operators),
        CASE(a_login_that_fails_for_now_is_tried_again),
        CASE(a_redirect_is_the_operators),
        CASE(a_server_that_was_not_listened_to_is_not_silent),
        CASE(a_server_that_reads_nothing_is_left),
        CASE(frames_of_the_smallest_size_do),
        CASE(what_is_given_back_for_good_is_poison),
        CASE(a_settled_message_without_an_outcome_is_sent_again),
        CASE(another_protocol_is_named),
        CASE(a_lost_connection_is_made_again_and_nothing_is_lost),
        CASE(a_server_that_never_answers_is_left),
        CASE(a_connection_with_nothing_under_way_ends_with_a_goodbye),
        CASE(names_of_links_are_never_the_same),
        CASE(answers_to_old_tokens_complete_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
