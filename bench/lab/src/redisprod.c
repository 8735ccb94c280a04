// redisprod: the raw ceiling of a hiredis producer: N XADDs to one stream, pipelined on one connection, at most WINDOW of them unanswered.
// usage: redisprod PORT STREAM N WINDOW     the server is on 127.0.0.1
#include "common.h"
#include <hiredis/hiredis.h>
static int64_t done, failed;
static void take(redisContext *c) {
    redisReply *r = NULL;
    if (redisGetReply(c, (void **)&r)) die("redis", c->errstr);
    done++, failed += r->type == REDIS_REPLY_ERROR;
    freeReplyObject(r);
}
int main(int argc, char **argv) {
    if (argc < 5) die("usage", "redisprod PORT STREAM N WINDOW");
    int64_t n = atoll(argv[3]), window = atoll(argv[4]), bytes = 0;
    redisContext *c = redisConnect("127.0.0.1", atoi(argv[1]));
    if (!c || c->err) die("connect", c ? c->errstr : NULL);
    char key[32], val[1024], id[64];
    int64_t t0 = now_us();
    for (int64_t i = 0; i < n; i++) {
        int kl = order_key(key, sizeof key, i), vl = order_json(val, sizeof val, i, t0), il = message_id(id, sizeof id, i);
        bytes += kl + vl;
        const char *words[] = {"XADD", argv[2], "*", "id", id, "key", key, "payload", val};
        size_t lens[] = {4, strlen(argv[2]), 1, 2, il, 3, kl, 7, vl};
        if (redisAppendCommandArgv(c, 9, words, lens)) die("redis", c->errstr);
        if (i + 1 - done >= window) // half of them, so that much is written at a time
            for (int64_t half = done + window / 2; done < half;) take(c);
    }
    while (done < n) take(c);
    return print_produced(n, failed, bytes, t0);
}
