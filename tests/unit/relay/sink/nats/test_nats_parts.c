/* The parts of the NATS sink that need no server: subjects, lanes, messages, answers, servers. */
#include "unit.h"

#include "sink/kit/lanes.h"
#include "sink/nats/answers.h"
#include "sink/nats/conf.h"
#include "sink/nats/message.h"
#include "sink/nats/missing.h"
#include "sink/nats/subject.h"

#include <stdlib.h>
#include <string.h>

static struct event an_event(void)
{
    return (struct event){.id = SLICE_LITERAL("e1"),
                          .type = SLICE_LITERAL("paid"),
                          .aggregatetype = SLICE_LITERAL("order"),
                          .aggregateid = SLICE_LITERAL("7"),
                          .created_at_us = TIME_NONE,
                          .topic = SLICE_LITERAL("outbox.order"),
                          .key = SLICE_LITERAL("k7"),
                          .value = SLICE_LITERAL("{}")};
}

/* --- subjects --- */

static struct name_template *template_of(const char *text)
{
    char fixed[SUBJECT_SIZE];
    struct error err;
    struct name_template *t = NULL;
    assert_int_equal(subject_template(text, NULL, &t, fixed, &err), RESULT_DONE);
    return t;
}

static void assert_subject(const char *text, const char *want)
{
    char out[SUBJECT_SIZE];
    struct error err;
    struct event e = an_event();
    struct name_template *t = template_of(text);
    assert_int_equal(subject_of(t, &e, out, &err), RESULT_DONE);
    assert_string_equal(out, want);
    name_template_free(t);
}

static void a_template_gives_the_subject(void **state)
{
    (void)state;
    assert_subject("{topic}", "outbox.order");
    assert_subject("shop.{aggregatetype}.{type}.{key}", "shop.order.paid.k7");
    assert_subject("{aggregateid}-{id}", "7-e1");
    assert_subject("a{{b}}c", "a{b}c");
}

static void assert_no_subject(struct slice topic, const char *why)
{
    char out[SUBJECT_SIZE];
    struct error err;
    struct event e = an_event();
    struct name_template *t = template_of("{topic}");
    e.topic = topic;
    assert_int_equal(subject_of(t, &e, out, &err), RESULT_ERROR);
    name_template_free(t);
    assert_int_equal(err.class, ERROR_POISON);
    if (!strstr(err.text, why)) {
        fail_msg("%s", err.text);
    }
}

static void what_is_no_subject_is_poison(void **state)
{
    (void)state;
    char text[SUBJECT_SIZE + 1];
    memset(text, 'x', sizeof text);
    assert_no_subject((struct slice){text, sizeof text}, "longer than 1024 bytes");
    assert_no_subject(SLICE_LITERAL("a..b"), "between two dots is empty");
    assert_no_subject(SLICE_LITERAL(".a"), "is empty");
    assert_no_subject(SLICE_LITERAL("a."), "a token is empty");
    assert_no_subject(SLICE_LITERAL("a b"), "a blank");
    assert_no_subject(SLICE_LITERAL("a\r\nPUB b"), "a control character");
    assert_no_subject(SLICE_LITERAL("a.*"), "for subscribers");
    assert_no_subject(SLICE_LITERAL("a.>"), "for subscribers");
    assert_no_subject(SLICE_LITERAL("$JS.API.STREAM.DELETE.EV"), "the server's own");
    assert_no_subject(SLICE_LITERAL("_INBOX.x"), "the server's own");
    assert_no_subject(SLICE_NULL, "sink.subject: the event has no {topic}");
}

static void assert_template(const char *text, const char *topic, const char *fixed)
{
    char out[SUBJECT_SIZE];
    struct error err;
    struct name_template *t = NULL;
    assert_int_equal(subject_template(text, topic, &t, out, &err), RESULT_DONE);
    assert_string_equal(out, fixed ? fixed : "");
    name_template_free(t);
}

static void assert_bad_template(const char *text, const char *topic, const char *why)
{
    char out[SUBJECT_SIZE];
    struct error err;
    struct name_template *t = NULL;
    assert_int_equal(subject_template(text, topic, &t, out, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_CONFIG);
    if (!strstr(err.text, why)) {
        fail_msg("%s: %s", text, err.text);
    }
}

static void templates_are_checked_at_the_start(void **state)
{
    (void)state;
    assert_template("{topic}", "orders", "orders");
    assert_template("{topic}", NULL, NULL);
    assert_template("shop.orders", NULL, "shop.orders");
    assert_template("shop.{topic}", "orders", "shop.orders");
    assert_template("shop.{key}", "orders", NULL);
    assert_bad_template("{colour}", NULL, "unknown");
    assert_bad_template("{topic", NULL, "without a \"}\"");
    assert_bad_template("topic}", NULL, "without a \"{\"");
    assert_bad_template("{payload}", NULL, "unknown");
    assert_bad_template("", NULL, "a token is empty");
    assert_bad_template("$JS.{key}", NULL, "the server's own");
    assert_bad_template("{topic}", "a..b", "between two dots");
}

/* --- lanes --- */

static size_t dropped;

static void drop(void *load)
{
    assert_non_null(load);
    dropped++;
}

static int load; /* any address */

static bool add(struct lanes *l, uint64_t token, const char *key)
{
    return lanes_add(l, token, slice_from(key), &load, &dropped);
}

static void take(struct lanes *l, uint64_t token)
{
    assert_ptr_equal(lanes_take(l, token, (int64_t)token), &load);
}

static uint64_t done(struct lanes *l, uint64_t token)
{
    uint64_t next = 0;
    assert_true(lanes_done(l, token, &next));
    return next;
}

static void one_of_a_key_at_a_time(void **state)
{
    (void)state;
    struct lanes l;
    lanes_init(&l, 100, drop);
    assert_true(add(&l, 1, "a"));
    assert_true(add(&l, 2, "b"));
    assert_false(add(&l, 3, "a"));
    assert_false(add(&l, 4, "a"));
    assert_true(add(&l, 5, NULL)); /* without a key: no order */
    assert_true(add(&l, 6, NULL));
    take(&l, 1);
    take(&l, 2);
    assert_int_equal(done(&l, 1), 3);
    take(&l, 3);
    assert_int_equal(done(&l, 2), 0);
    assert_true(add(&l, 7, "b")); /* the one before is done */
    assert_int_equal(done(&l, 3), 4);
    assert_int_equal(lanes_first(&l), 4);
    assert_int_equal(l.open, 4);
    lanes_release(&l);
}

static void the_oldest_under_way_is_known(void **state)
{
    (void)state;
    struct lanes l;
    lanes_init(&l, 100, drop);
    assert_int_equal(lanes_oldest_us(&l), DEADLINE_NEVER);
    for (uint64_t t = 1; t <= 4; t++) {
        add(&l, t, NULL);
    }
    take(&l, 3);
    take(&l, 1);
    take(&l, 2);
    assert_int_equal(lanes_oldest_us(&l), 3);
    done(&l, 1);
    assert_int_equal(lanes_oldest_us(&l), 3);
    done(&l, 3);
    assert_int_equal(lanes_oldest_us(&l), 2);
    assert_int_equal(lanes_first(&l), 2);
    done(&l, 2);
    assert_int_equal(lanes_oldest_us(&l), DEADLINE_NEVER);
    assert_int_equal(lanes_first(&l), 4);
    lanes_release(&l);
}

static void what_is_not_under_way_cannot_be_done(void **state)
{
    (void)state;
    struct lanes l;
    uint64_t next;
    lanes_init(&l, 100, drop);
    assert_false(lanes_done(&l, 1, &next));
    add(&l, 1, "a");
    assert_null(lanes_about(&l, 1));
    assert_false(lanes_done(&l, 1, &next)); /* not sent yet */
    take(&l, 1);
    assert_ptr_equal(lanes_about(&l, 1), &dropped);
    done(&l, 1);
    assert_null(lanes_about(&l, 1));
    assert_false(lanes_done(&l, 1, &next)); /* twice */
    assert_false(lanes_done(&l, 99, &next));
    lanes_release(&l);
}

static void a_refused_one_stops_its_lane(void **state)
{
    (void)state;
    struct lanes l;
    lanes_init(&l, 100, drop);
    add(&l, 1, "b");
    add(&l, 2, "a");
    add(&l, 3, "a");
    take(&l, 1);
    take(&l, 2);
    assert_false(lanes_refuse(&l, 3, &load)); /* not sent */
    assert_true(lanes_refuse(&l, 2, &load));
    assert_false(lanes_refuse(&l, 2, &load));
    assert_int_equal(lanes_oldest_us(&l), 1);
    assert_null(lanes_first_refused(&l)); /* 1 is before it */
    done(&l, 1);
    assert_int_equal(lanes_oldest_us(&l), DEADLINE_NEVER);
    assert_ptr_equal(lanes_first_refused(&l), &load);
    assert_ptr_equal(lanes_about(&l, 2), &dropped);
    dropped = 0;
    assert_int_equal(done(&l, 2), 3);
    assert_int_equal(dropped, 1);
    assert_null(lanes_first_refused(&l));
    lanes_release(&l);
}

static void a_clear_forgets_and_frees(void **state)
{
    (void)state;
    struct lanes l;
    uint64_t next;
    lanes_init(&l, 100, drop);
    add(&l, 10, "a");
    add(&l, 11, "a");
    take(&l, 10);
    dropped = 0;
    lanes_clear(&l);
    assert_int_equal(dropped, 1); /* the other one is its taker's */
    assert_int_equal(l.open, 0);
    assert_false(lanes_done(&l, 10, &next));
    assert_true(add(&l, 20, "a"));
    lanes_release(&l);
    assert_int_equal(dropped, 2);
}

/* Tokens with gaps, more than the ring holds at first, done in another order. */
static void thousands_go_through(void **state)
{
    (void)state;
    struct lanes l;
    uint64_t next;
    lanes_init(&l, 10, drop);
    for (int round = 0; round < 3; round++) {
        uint64_t first = (uint64_t)round * 100000 + 1, end = first + 3 * 2000;
        for (uint64_t t = first; t < end; t += 3) {
            assert_true(add(&l, t, NULL));
            take(&l, t);
        }
        assert_int_equal(l.open, 2000);
        for (uint64_t t = end - 3; t > first; t -= 3) {
            done(&l, t);
            assert_int_equal(lanes_first(&l), first);
        }
        assert_true(lanes_done(&l, first, &next));
        assert_int_equal(lanes_first(&l), 0);
    }
    lanes_release(&l);
}

/* --- messages --- */

static struct nats_target target = {.expect_stream = "EV", .max_payload = 1000};

static int set_up(void **state)
{
    (void)state;
    target.subject = template_of("{topic}");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    name_template_free((struct name_template *)(uintptr_t)target.subject);
    return 0;
}

static void assert_header(natsMsg *m, const char *name, const char *want)
{
    const char *value = NULL;
    assert_int_equal(natsMsgHeader_Get(m, name, &value), NATS_OK);
    assert_string_equal(value, want);
}

static void a_message_has_id_headers_and_value(void **state)
{
    (void)state;
    natsMsg *m = NULL;
    struct error err;
    struct header h[] = {{SLICE_LITERAL("id"), SLICE_LITERAL("e1")},
                         {SLICE_LITERAL("ce_x"), SLICE_LITERAL("a b")},
                         {SLICE_LITERAL("none"), SLICE_NULL}};
    struct event e = an_event();
    e.out_headers = h;
    e.out_headers_count = 3;
    assert_int_equal(nats_message(&target, &e, "_INBOX.r.5", &m, &err), RESULT_DONE);
    assert_string_equal(natsMsg_GetSubject(m), "outbox.order");
    assert_string_equal(natsMsg_GetReply(m), "_INBOX.r.5");
    assert_header(m, "Nats-Msg-Id", "e1");
    assert_header(m, "Nats-Expected-Stream", "EV");
    assert_header(m, "id", "e1");
    assert_header(m, "ce_x", "a b"); /* no CloudEvent */
    assert_header(m, "none", "");
    natsMsg_Destroy(m);
}

static void cloudevents_have_their_binding(void **state)
{
    (void)state;
    natsMsg *m = NULL;
    struct error err;
    struct header h[] = {{SLICE_LITERAL("ce_specversion"), SLICE_LITERAL("1.0")},
                         {SLICE_LITERAL("ce_subject"), SLICE_LITERAL("a \"b\" 100% \xc3\xa9")},
                         {SLICE_LITERAL("content-type"), SLICE_LITERAL("application/json")}};
    struct event e = an_event();
    e.out_headers = h;
    e.out_headers_count = 3;
    assert_int_equal(nats_message(&target, &e, "r", &m, &err), RESULT_DONE);
    assert_header(m, "ce-specversion", "1.0");
    assert_header(m, "ce-subject", "a%20%22b%22%20100%25%20%C3%A9");
    assert_header(m, "content-type", "application/json");
    natsMsg_Destroy(m);
}

static void assert_poison(const struct event *e, const char *why)
{
    natsMsg *m = NULL;
    struct error err;
    assert_int_equal(nats_message(&target, e, "r", &m, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_POISON);
    assert_null(m);
    if (!strstr(err.text, why)) {
        fail_msg("%s", err.text);
    }
}

static void assert_bad_header(struct slice name, struct slice value, const char *why)
{
    struct header h = {name, value};
    struct event e = an_event();
    e.out_headers = &h;
    e.out_headers_count = 1;
    assert_poison(&e, why);
}

static void headers_that_nats_cannot_carry_are_poison(void **state)
{
    (void)state;
    struct slice good = SLICE_LITERAL("x");
    assert_bad_header(SLICE_LITERAL(""), good, "no such name");
    assert_bad_header(SLICE_LITERAL("a b"), good, "no such name");
    assert_bad_header(SLICE_LITERAL("a:b"), good, "no such name");
    assert_bad_header(SLICE_LITERAL("a\r\nb"), good, "no such name");
    assert_bad_header(SLICE_LITERAL("\xc3\xa9"), good, "no such name");
    assert_bad_header(good, SLICE_LITERAL("a\r\nb: c"), "a line end");
    assert_bad_header(good, SLICE_LITERAL("a\0b"), "a line end or a NUL");
    /* A row must not give orders: this one would purge the stream. */
    assert_bad_header(SLICE_LITERAL("Nats-Rollup"), SLICE_LITERAL("all"), "orders to the server");
    assert_bad_header(SLICE_LITERAL("nats-msg-id"), good, "orders to the server");
    struct event e = an_event();
    e.id = SLICE_LITERAL("a\nb");
    assert_poison(&e, "cannot be its Nats-Msg-Id");
    e.id = SLICE_NULL;
    assert_poison(&e, "cannot be its Nats-Msg-Id");
}

/* The server counts headers and data; the message that is one byte too large is refused before it
 * is sent, because the server would close the connection. */
static void the_size_limit_counts_headers(void **state)
{
    (void)state;
    static char text[1000];
    natsMsg *m = NULL;
    struct error err;
    struct event e = an_event();
    memset(text, 'x', sizeof text);
    size_t headers = strlen("NATS/1.0\r\nNats-Msg-Id: e1\r\nNats-Expected-Stream: EV\r\n\r\n");
    e.value = (struct slice){text, 1000 - headers};
    assert_int_equal(nats_message(&target, &e, "r", &m, &err), RESULT_DONE);
    natsMsg_Destroy(m);
    m = NULL;
    e.value.len++;
    assert_poison(&e, "has 1001 bytes with its headers, and the server takes 1000 (max_payload)");
    e.value.len--;
    e.again = SLICE_LITERAL("r"); /* there must be room for the longer id */
    assert_poison(&e, "has 1002 bytes");
}

static void what_is_sent_apart_has_an_id_of_its_own(void **state)
{
    (void)state;
    natsMsg *m = NULL;
    struct error err;
    struct event e = an_event();
    struct nats_target apart = target;
    apart.apart = true;
    e.again = SLICE_LITERAL("retry-7.0.1");
    assert_int_equal(nats_message(&target, &e, "r", &m, &err), RESULT_DONE);
    assert_header(m, "Nats-Msg-Id", "e1");
    natsMsg_Destroy(m);
    assert_int_equal(nats_message(&apart, &e, "r", &m, &err), RESULT_DONE);
    assert_header(m, "Nats-Msg-Id", "e1:retry-7.0.1");
    natsMsg_Destroy(m);
}

/* --- answers --- */

static void assert_answer(const char *json, enum error_class class, const char *why)
{
    natsMsg *m = NULL;
    struct error err;
    assert_int_equal(natsMsg_Create(&m, "_INBOX.x.1", NULL, json, (int)strlen(json)), NATS_OK);
    bool known, duplicate = strstr(json, "\"duplicate\":true");
    assert_int_equal(nats_is_ack(m, &known), class == ERROR_NONE);
    assert_int_equal(known, duplicate);
    if (class != ERROR_NONE) {
        nats_refusal(m, "shop.orders", &err);
        assert_int_equal(err.class, class);
        assert_non_null(strstr(err.text, "shop.orders"));
        if (!strstr(err.text, why)) {
            fail_msg("%s", err.text);
        }
    }
    natsMsg_Destroy(m);
}

static void answers_have_their_classes(void **state)
{
    (void)state;
    assert_answer("{\"stream\":\"EV\",\"seq\":17}", ERROR_NONE, "");
    assert_answer("{\"stream\":\"EV\",\"seq\":17,\"duplicate\":true}", ERROR_NONE, "");
#define REFUSAL(code, err_code, text)                                            \
    "{\"error\":{\"code\":" #code ",\"err_code\":" #err_code ",\"description\":" \
    "\"" text "\"},\"stream\":\"EV\",\"seq\":0}"
    assert_answer(REFUSAL(400, 10054, "message size exceeds maximum allowed"), ERROR_POISON,
                  "raise the stream's max_msg_size");
    assert_answer(REFUSAL(503, 10077, "maximum messages exceeded"), ERROR_BUSY,
                  "stream EV: maximum messages exceeded; the stream is full");
    assert_answer(REFUSAL(429, 10167, "too many requests"), ERROR_BUSY, "under way");
    assert_answer(REFUSAL(429, 99999, "wait"), ERROR_BUSY, "slow down");
    assert_answer(REFUSAL(400, 10060, "expected stream does not match"), ERROR_CONFIG,
                  "correct sink.expect_stream");
    assert_answer(REFUSAL(503, 10039, "JetStream not enabled for account"), ERROR_CONFIG,
                  "turn JetStream on");
    assert_answer(REFUSAL(500, 10009, "JetStream cluster can not handle request"), ERROR_RETRY,
                  "sent again");
    assert_answer("hello", ERROR_CONFIG, "somebody else answers there");
    assert_answer("", ERROR_CONFIG, "somebody else answers there");
    assert_answer("{\"stream\":\"EV\"", ERROR_CONFIG, "somebody else answers there");
    assert_answer("{\"type\":\"x\"}", ERROR_CONFIG, "somebody else answers there");
}

/* --- subjects that no stream takes --- */

static enum error_class missing(struct nats_missing *m, const char *subject, bool of_event,
                                int64_t now_us)
{
    struct error err = {0};
    nats_missing_seen(m, subject, of_event, 100, now_us, &err);
    return err.class;
}

static void who_is_to_blame_for_a_subject_without_a_stream(void **state)
{
    (void)state;
    struct nats_missing m = {0};
    assert_int_equal(missing(&m, "a", true, 1000), ERROR_RETRY);
    assert_int_equal(missing(&m, "a", true, 1099), ERROR_RETRY);
    assert_int_equal(missing(&m, "a", true, 1100), ERROR_CONFIG); /* nothing else was stored */
    nats_missing_stored(&m, "b", 1101);
    assert_int_equal(missing(&m, "a", true, 1102), ERROR_POISON);
    assert_int_equal(missing(&m, "a", false, 1103), ERROR_CONFIG); /* the configuration's own */
    assert_int_equal(missing(&m, "c", true, 1104), ERROR_RETRY);   /* each has its own time */
    nats_missing_stored(&m, "a", 1105);
    assert_int_equal(missing(&m, "a", true, 1300), ERROR_RETRY); /* it was there meanwhile */
    assert_int_equal(missing(&m, "a", true, 1300 + 300 * US_PER_SECOND), ERROR_RETRY);
}

static void more_subjects_than_are_remembered(void **state)
{
    (void)state;
    struct nats_missing m = {0};
    char subject[32];
    for (int i = 0; i < 3 * NATS_MISSING_MAX; i++) {
        snprintf(subject, sizeof subject, "s%d", i);
        assert_int_equal(missing(&m, subject, true, 1000 + i), ERROR_RETRY);
    }
    assert_int_equal(m.count, NATS_MISSING_MAX);
    nats_missing_stored(&m, subject, 2000);
    assert_int_equal(m.count, NATS_MISSING_MAX - 1);
}

/* --- servers --- */

static void assert_servers(const char *text, int count, bool tls)
{
    struct nats_servers s;
    struct error err;
    if (nats_conf_servers(text, &s, &err)) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(s.count, count);
    assert_int_equal(s.tls, tls);
}

static void assert_no_servers(const char *text, const char *why)
{
    struct nats_servers s;
    struct error err;
    assert_int_equal(nats_conf_servers(text, &s, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_CONFIG);
    assert_null(strstr(err.text, "hunter2"));
    if (!strstr(err.text, why)) {
        fail_msg("%s", err.text);
    }
}

static void servers_are_addresses(void **state)
{
    (void)state;
    assert_servers("nats://a", 1, false);
    assert_servers("nats://a:4222, nats://[::1]:4223 ,nats://10.0.0.1:1", 3, false);
    assert_servers("tls://a:4222,tls://b", 2, true);
    assert_no_servers("a:4222", "has no scheme");
    assert_no_servers("nats://", "has no scheme");
    assert_no_servers("nats://a:99999", "is no address");
    assert_no_servers("nats://a:", "is no address");
    assert_no_servers("nats://a/x", "is no address");
    assert_no_servers("nats://a,tls://b", "another scheme");
    assert_no_servers("nats://a,", "has no scheme");
    assert_no_servers("nats://me:hunter2@a", "sink.password_file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_template_gives_the_subject),
        cmocka_unit_test(what_is_no_subject_is_poison),
        cmocka_unit_test(templates_are_checked_at_the_start),
        cmocka_unit_test(one_of_a_key_at_a_time),
        cmocka_unit_test(the_oldest_under_way_is_known),
        cmocka_unit_test(what_is_not_under_way_cannot_be_done),
        cmocka_unit_test(a_refused_one_stops_its_lane),
        cmocka_unit_test(a_clear_forgets_and_frees),
        cmocka_unit_test(thousands_go_through),
        cmocka_unit_test(a_message_has_id_headers_and_value),
        cmocka_unit_test(cloudevents_have_their_binding),
        cmocka_unit_test(headers_that_nats_cannot_carry_are_poison),
        cmocka_unit_test(the_size_limit_counts_headers),
        cmocka_unit_test(what_is_sent_apart_has_an_id_of_its_own),
        cmocka_unit_test(answers_have_their_classes),
        cmocka_unit_test(who_is_to_blame_for_a_subject_without_a_stream),
        cmocka_unit_test(more_subjects_than_are_remembered),
        cmocka_unit_test(servers_are_addresses),
    };
    nats_Open(-1); /* messages need it; a connection does it by itself */
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
