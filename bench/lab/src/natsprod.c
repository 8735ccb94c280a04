// natsprod: the raw ceiling of a cnats producer to JetStream: N asynchronous publishes, at most WINDOW of them unacknowledged.
// usage: natsprod URL SUBJECT_PREFIX N WINDOW     the subject ends with the message's key
#include "common.h"
#include <nats/nats.h>
static int64_t failed; // counted on the library's thread, read when all are acknowledged
static void on_error(jsCtx *js, jsPubAckErr *e, void *closure) { (void)js; (void)e; (void)closure; __atomic_add_fetch(&failed, 1, __ATOMIC_RELAXED); }
static void must(natsStatus s, const char *what) { if (s) die(what, natsStatus_GetText(s)); }
int main(int argc, char **argv) {
    if (argc < 5) die("usage", "natsprod URL SUBJECT_PREFIX N WINDOW");
    int64_t n = atoll(argv[3]), bytes = 0;
    natsConnection *nc = NULL;
    jsCtx *js = NULL;
    jsOptions o;
    must(natsConnection_ConnectTo(&nc, argv[1]), "connect");
    must(jsOptions_Init(&o), "options");
    o.PublishAsync.MaxPending = atoll(argv[4]);
    o.PublishAsync.StallWait = 60000;
    o.PublishAsync.ErrHandler = on_error;
    must(natsConnection_JetStream(&js, nc, &o), "JetStream");
    char subject[300], val[1024], id[64];
    int64_t t0 = now_us();
    for (int64_t i = 0; i < n; i++) {
        int pl = snprintf(subject, sizeof subject, "%s", argv[2]), kl = order_key(subject + pl, sizeof subject - pl, i), vl = order_json(val, sizeof val, i, t0);
        bytes += kl + vl;
        message_id(id, sizeof id, i);
        jsPubOptions p;
        must(jsPubOptions_Init(&p), "options");
        p.MsgId = id;
        must(js_PublishAsync(js, subject, val, vl, &p), "publish");
    }
    jsPubOptions wait;
    must(jsPubOptions_Init(&wait), "options");
    wait.MaxWait = 600000;
    must(js_PublishAsyncComplete(js, &wait), "acknowledgements");
    int rc = print_produced(n, __atomic_load_n(&failed, __ATOMIC_RELAXED), bytes, t0);
    jsCtx_Destroy(js);
    natsConnection_Destroy(nc);
    nats_Close();
    return rc;
}
