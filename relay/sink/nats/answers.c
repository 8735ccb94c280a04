/*
 * Reads PubAcks, and the rules for JetStream's error codes (server/errors.json of nats-server).
 * Example of an acknowledgement: {"stream":"ORDERS","seq":17,"duplicate":true}
 * Of a refusal: {"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"},
 * "stream":"ORDERS","seq":0}
 */
#include "sink/nats/answers.h"

#include "value/json.h"

#include <stdio.h>
#include <stdlib.h>

/* What was read of an answer; null slices for what is not there. */
struct answer {
    struct slice stream, error;
    struct slice description;
    long code, err_code;
    bool duplicate;
};

static const struct rule {
    long err_code;
    enum error_class class;
    const char *remedy;
} rules[] = {
    {10054, ERROR_POISON, "raise the stream's max_msg_size if it should pass"},
    {10097, ERROR_POISON, "make its headers smaller: a stream takes 64 KiB of them"},

    {10077, ERROR_BUSY,
     "the stream is full: raise max_msgs, max_bytes or max_msgs_per_subject, shorten max_age, or "
     "let its consumers catch up"},
    {10002, ERROR_BUSY, "raise the account's JetStream limits, or make room in its streams"},
    {10023, ERROR_BUSY, "give the server's JetStream more memory or disk (max_mem, max_file)"},
    {10028, ERROR_BUSY, "give the server's JetStream more memory (max_mem)"},
    {10047, ERROR_BUSY, "give the server's JetStream more disk (max_file)"},
    {10167, ERROR_BUSY, "the stream has more messages under way than it can store"},
    {10158, ERROR_BUSY, "the server still works on the same message"},

    {10060, ERROR_CONFIG, "correct sink.expect_stream, or the subjects of the streams"},
    {10035, ERROR_CONFIG, "the server does not know the account; correct the login"},
    {10039, ERROR_CONFIG, "turn JetStream on for the account"},
    {10076, ERROR_CONFIG, "turn JetStream on in the server's configuration (jetstream {})"},
    {10109, ERROR_CONFIG, "the stream is sealed for good; route the events to another one"},
};

static long number(struct slice text)
{
    char out[24];
    snprintf(out, sizeof out, "%.*s", SLICE_FMT(text));
    return strtol(out, NULL, 10);
}

static void read_error(struct answer *a)
{
    struct json_member m;
    struct json_members walk = json_members(a->error);
    while (json_members_next(&walk, &m) == JSON_MEMBER) {
        if (slice_equal_str(m.name, "code")) {
            a->code = number(m.value);
        } else if (slice_equal_str(m.name, "err_code")) {
            a->err_code = number(m.value);
        } else if (slice_equal_str(m.name, "description")) {
            a->description = m.value;
        }
    }
}

static struct answer read_answer(const natsMsg *answer)
{
    struct answer a = {0};
    struct json_member m;
    const char *data = natsMsg_GetData(answer);
    struct slice text = {data, data ? (size_t)natsMsg_GetDataLength(answer) : 0};
    struct json_members walk = json_members(text);
    enum json_step step;
    while ((step = json_members_next(&walk, &m)) == JSON_MEMBER) {
        if (slice_equal_str(m.name, "stream") && m.type == JSON_IS_STRING) {
            a.stream = m.value;
        } else if (slice_equal_str(m.name, "error")) {
            a.error = json_member_text(&m);
        } else if (slice_equal_str(m.name, "duplicate")) {
            a.duplicate = slice_equal_str(m.value, "true");
        }
    }
    if (step == JSON_FAULT) {
        return (struct answer){0};
    }
    if (!slice_is_null(a.error)) {
        read_error(&a);
    }
    return a;
}

bool nats_is_ack(const natsMsg *answer, bool *ret_known)
{
    struct answer a = read_answer(answer);
    *ret_known = a.duplicate;
    return !slice_is_null(a.stream) && slice_is_null(a.error);
}

static const struct rule *rule_of(const struct answer *a)
{
    static const struct rule other = {0, ERROR_RETRY, "sent again"};
    static const struct rule slow = {0, ERROR_BUSY, "the server asks to slow down"};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (rules[i].err_code == a->err_code) {
            return &rules[i];
        }
    }
    return a->code == 429 ? &slow : &other;
}

int nats_refusal(const natsMsg *answer, const char *subject, struct error *err)
{
    char code[24];
    struct answer a = read_answer(answer);
    if (natsMsg_IsNoResponders((natsMsg *)(uintptr_t)answer)) {
        error_set(err, ERROR_CONFIG, "nats",
                  "subject %s: no stream takes it, or its stream has no leader now; create the "
                  "stream or add the subject to it (nats stream add, nats stream edit), or correct "
                  "sink.subject",
                  subject);
        return error_code(err, NATS_NO_STREAM);
    }
    if (slice_is_null(a.error)) {
        return error_set(err, ERROR_CONFIG, "nats",
                         "subject %s: the answer is no acknowledgement of a stream: somebody else "
                         "answers there; create a stream for the subject, or correct sink.subject",
                         subject);
    }
    const struct rule *r = rule_of(&a);
    error_set(err, r->class, "nats", "subject %s%s%.*s: %.*s; %s", subject,
              a.stream.len ? ", stream " : "", SLICE_FMT(a.stream),
              (int)(a.description.len < 300 ? a.description.len : 300),
              a.description.len ? a.description.ptr : "refused", r->remedy);
    snprintf(code, sizeof code, "%ld", a.err_code);
    return error_code(err, code);
}
