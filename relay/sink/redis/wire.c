/*
 * Commands out and answers in, over the connection of a link (link.h).
 */
#include "sink/redis/link.h"

#include "base/memory.h"

const char *redis_link_server(const struct redis_link *l)
{
    return l->servers[l->current].shown;
}

void redis_link_send(struct redis_link *l, size_t n, const char **args, const size_t *lens)
{
    int rc = redisAppendCommandArgv(l->context, (int)n, args, lens);
    memory_need(rc == REDIS_OK ? l->context : NULL);
    l->unsent = true;
}

static int ended(const struct redis_link *l, struct error *err)
{
    return error_set(err, ERROR_RETRY, "redis",
                     "%s: the connection has ended: %s; what is not acknowledged is sent again",
                     redis_link_server(l), l->context->errstr);
}

int redis_link_write(struct redis_link *l, struct error *err)
{
    int done = 1;
    if (l->unsent && redisBufferWrite(l->context, &done) != REDIS_OK) {
        return ended(l, err);
    }
    l->unsent = !done;
    return RESULT_DONE;
}

int redis_link_read(struct redis_link *l, redisReply **ret, struct error *err)
{
    void *reply = NULL;
    if (redisGetReplyFromReader(l->context, &reply) != REDIS_OK) {
        return ended(l, err);
    }
    if (!reply && (redisBufferRead(l->context) != REDIS_OK ||
                   redisGetReplyFromReader(l->context, &reply) != REDIS_OK)) {
        return ended(l, err);
    }
    if (!reply) {
        return RESULT_AGAIN;
    }
    *ret = reply;
    return RESULT_DONE;
}
