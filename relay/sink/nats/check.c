/*
 * Looks at the server, the stream and the permissions before the first event (check.h). It uses a
 * connection of its own and libnats' functions that wait.
 */
#include "sink/nats/check.h"

#include "sink/nats/answers.h"
#include "sink/nats/dial.h"

#include <stdio.h>
#include <string.h>

/* A stream refuses a message that is meant for a stream of another name. No stream has this one:
 * so the message of the check is stored nowhere. */
#define NO_STREAM "commitrelay-check-is-not-stored"
#define NO_STREAM_ERROR "10060"

struct check {
    const struct nats_conf *conf;
    natsConnection *nc;
    jsCtx *js;
    int64_t wait_ms;
    int64_t max_payload;
    finding_report *report;
    void *ctx;
};

static void found(const struct check *c, const struct error *e)
{
    c->report(c->ctx, e->exit_code, e->text, "");
}

/* What the server said about permissions since the connection was made; NULL: nothing. */
static const char *denied(const struct check *c)
{
    const char *text = NULL;
    return natsConnection_GetLastError(c->nc, &text) == NATS_NOT_PERMITTED ? text : NULL;
}

/* Sends a message to the subject that no stream stores, to learn whether the user may publish
 * there, and whether a stream listens. */
static bool check_subject(const struct check *c, const char *subject)
{
    struct error e;
    natsMsg *msg = NULL, *answer = NULL;
    natsStatus s = natsMsg_Create(&msg, subject, NULL, "", 0);
    s = s ? s : natsMsgHeader_Add(msg, "Nats-Expected-Stream", NO_STREAM);
    s = s ? s : natsConnection_RequestMsg(&answer, c->nc, msg, c->wait_ms);
    natsMsg_Destroy(msg);
    error_clear(&e);
    if (s == NATS_OK) {
        nats_refusal(answer, subject, &e);
        if (error_is(&e, NO_STREAM_ERROR)) {
            error_clear(&e);
        }
    } else if (denied(c)) {
        nats_denied(denied(c), c->conf->servers, &e);
    } else if (s == NATS_NO_RESPONDERS) {
        error_set(
            &e, ERROR_CONFIG, "nats",
            "subject %s: no stream takes it; create the stream or add the subject to it (nats "
            "stream add, nats stream edit), or correct sink.subject",
            subject);
    } else {
        error_set(&e, ERROR_RETRY, "nats",
                  "subject %s: no answer within %lld ms (%s); if somebody subscribes to it and no "
                  "stream takes it, create a stream",
                  subject, (long long)c->wait_ms, natsStatus_GetText(s));
    }
    natsMsg_Destroy(answer);
    if (e.class != ERROR_NONE) {
        found(c, &e);
    }
    return e.class == ERROR_NONE;
}

static void note_limits(const struct check *c, const jsStreamConfig *s)
{
    char text[512];
    if (s->MaxMsgSize > 0 && s->MaxMsgSize < c->max_payload) {
        snprintf(
            text, sizeof text,
            "stream %s takes at most %d bytes (max_msg_size) and the server %lld (max_payload): "
            "an event that is larger with its headers becomes poison",
            s->Name, (int)s->MaxMsgSize, (long long)c->max_payload);
        c->report(c->ctx, 0, text, "raise the stream's max_msg_size");
    }
    if (s->Discard == js_DiscardOld && (s->MaxMsgs > 0 || s->MaxBytes > 0)) {
        snprintf(text, sizeof text,
                 "stream %s drops its oldest messages when it is full (discard: old), whether "
                 "anybody has read them or not",
                 s->Name);
        c->report(c->ctx, 0, text, "discard: new makes the relay wait instead");
    }
    if (s->Storage == js_MemoryStorage) {
        snprintf(text, sizeof text, "stream %s is kept in memory: a restart of the server loses it",
                 s->Name);
        c->report(c->ctx, 0, text, "a stream with file storage survives");
    } else if (s->Replicas <= 1) {
        snprintf(text, sizeof text, "stream %s has one replica: what the server loses is lost",
                 s->Name);
        c->report(c->ctx, 0, text, "3 replicas in a cluster survive a server");
    }
}

static void check_config(const struct check *c, const jsStreamConfig *s)
{
    char text[512];
    if (s->Sealed) {
        snprintf(text, sizeof text, "stream %s is sealed: it takes no more messages", s->Name);
        c->report(c->ctx, EXIT_CODE_CONFIG, text, "route the events to another stream");
    }
    if (s->NoAck) {
        snprintf(text, sizeof text, "stream %s acknowledges nothing (no_ack)", s->Name);
        c->report(c->ctx, EXIT_CODE_CONFIG, text,
                  "without acknowledgements nothing is ever delivered; set no_ack to false");
    }
    note_limits(c, s);
}

/* The stream of a name. Users are often not allowed to ask for it, so that is only a note. */
static void check_stream(const struct check *c, const char *name)
{
    char text[512];
    jsErrCode code = 0;
    jsStreamInfo *info = NULL;
    natsStatus s = js_GetStreamInfo(&info, c->js, name, NULL, &code);
    if (s == NATS_OK) {
        check_config(c, info->Config);
    } else if (code == JSStreamNotFoundErr) {
        snprintf(text, sizeof text, "stream %s is not there", name);
        c->report(c->ctx, EXIT_CODE_CONFIG, text,
                  "create it (nats stream add), or correct sink.expect_stream");
    } else if (s == NATS_NO_RESPONDERS || code == JSNotEnabledErr ||
               code == JSNotEnabledForAccountErr) {
        c->report(c->ctx, EXIT_CODE_CONFIG, "the server has no JetStream for this account",
                  "turn it on in the server's configuration (jetstream {}) and for the account");
    } else {
        const char *why = denied(c);
        snprintf(text, sizeof text,
                 "stream %s cannot be looked at, so its limits are not known: %s", name,
                 why ? why : natsStatus_GetText(s));
        c->report(
            c->ctx, 0, text,
            "allow the relay's user to publish to $JS.API.STREAM.INFO.* to have them checked");
    }
    jsStreamInfo_Destroy(info);
}

/* Which stream takes the subject; its name is in `out`, "" if that cannot be learnt. */
static void find_stream(const struct check *c, const char *subject, char *out, size_t size)
{
    jsOptions o;
    jsStreamNamesList *names = NULL;
    jsOptions_Init(&o);
    o.Stream.Info.SubjectsFilter = subject;
    out[0] = '\0';
    if (js_StreamNames(&names, c->js, &o, NULL) == NATS_OK && names->Count == 1) {
        snprintf(out, size, "%s", names->List[0]);
    }
    jsStreamNamesList_Destroy(names);
}

static void check_streams(const struct check *c, const char *subject)
{
    char name[300] = "", text[700];
    const char *expected = c->conf->expect_stream;
    bool there = !subject || check_subject(c, subject);
    if (subject) {
        find_stream(c, subject, name, sizeof name);
    }
    if (subject && there && *expected && *name && strcmp(name, expected) != 0) {
        snprintf(text, sizeof text, "subject %s belongs to stream %s, and sink.expect_stream is %s",
                 subject, name, expected);
        c->report(c->ctx, EXIT_CODE_CONFIG, text,
                  "correct sink.expect_stream, or the subjects of the streams");
        return;
    }
    if (*expected || *name) {
        check_stream(c, *expected ? expected : name);
    }
}

static int connect_now(const struct nats_conf *conf, const struct nats_servers *servers,
                       const struct sink_env *env, natsConnection **ret, struct error *err)
{
    natsOptions *o = NULL;
    if (nats_dial_options(conf, servers, env->pipeline, &o, err)) {
        return RESULT_ERROR;
    }
    natsStatus s = natsConnection_Connect(ret, o);
    int rc = s ? nats_dial_error(s, conf->servers, err) : RESULT_DONE;
    natsOptions_Destroy(o);
    return rc;
}

int nats_check(const struct nats_conf *conf, const struct nats_servers *servers,
               const char *subject, const struct sink_env *env, finding_report *report, void *ctx,
               struct error *err)
{
    struct check c = {
        .conf = conf,
        .wait_ms = conf->net.connect_timeout_us / US_PER_MS,
        .report = report,
        .ctx = ctx,
    };
    struct error fault;
    if (connect_now(conf, servers, env, &c.nc, &fault)) {
        found(&c, &fault);
        return RESULT_DONE;
    }
    jsOptions o;
    jsOptions_Init(&o);
    o.Wait = c.wait_ms;
    c.max_payload = natsConnection_GetMaxPayload(c.nc);
    natsStatus s = natsConnection_JetStream(&c.js, c.nc, &o);
    if (s == NATS_OK) {
        check_streams(&c, subject);
    }
    jsCtx_Destroy(c.js);
    natsConnection_Destroy(c.nc);
    return s ? error_set(err, ERROR_RETRY, "nats", "libnats cannot prepare JetStream: %s",
                         natsStatus_GetText(s))
             : RESULT_DONE;
}
