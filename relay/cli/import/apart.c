/* Messages that are about no row: where transactions begin and end, and heartbeats. */
#include "cli/import/internal.h"

/* Why the pipeline has none; NULL: it can have them. */
static const char *fault_of(const struct import *im)
{
    return im->outbox      ? "needs a pipeline with `as: changes`"
           : !im->debezium ? "needs `encode.format: debezium`"
           : im->described ? "does not go together with schemas here"
                           : NULL;
}

static void take_transactions(struct import *im)
{
    struct import_option *o = import_find(im, "provide.transaction.metadata");
    const char *on = import_take(im, "provide.transaction.metadata");
    struct import_option *topic = import_find(im, "topic.transaction");
    const char *name = import_take(im, "topic.transaction");
    if (!import_is(on, "true")) {
        return;
    }
    const char *fault = fault_of(im);
    if (fault) {
        import_note(im, DEBEZIUM_MESSAGES, o, "encode.transaction_metadata %s", fault);
        return;
    }
    import_put(im, IMPORT_ENCODE, "transaction_metadata", "true", o->name);
    if (name && !import_is(name, "transaction")) {
        import_note(
            im, DEBEZIUM_MESSAGES, topic, "%s",
            "the topic is <name>.transaction; route.topic_rewrite can give it another name");
    }
}

static void take_heartbeats(struct import *im)
{
    const char *prefix = import_take(im, "topic.heartbeat.prefix");
    const char *older = import_take(im, "heartbeat.topics.prefix");
    CLEANUP(buf_release) struct buf topic = {0};
    if (!im->heartbeats) {
        return;
    }
    const char *fault = fault_of(im);
    if (fault) {
        import_note(im, DEBEZIUM_MESSAGES, im->heartbeats,
                    "the slot is moved as often; a message in the heartbeat topic %s", fault);
        return;
    }
    buf_printf(&topic, "%s.%s",
               prefix  ? prefix
               : older ? older
                       : "__debezium-heartbeat",
               im->prefix);
    import_put_text(im, IMPORT_ENCODE, "heartbeat_topic", im->heartbeats->name, buf_str(&topic));
}

void import_apart(struct import *im)
{
    take_transactions(im);
    take_heartbeats(im);
}
