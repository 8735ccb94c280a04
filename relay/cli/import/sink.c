/* Where the events go: Kafka for Kafka Connect, one of several for Debezium Server. */
#include "cli/import/internal.h"

/* The names of Kafka's Java producer that librdkafka has too, or under another name. */
static const struct {
    const char *java, *ours;
} producer_names[] = {
    {"compression.type", "compression.type"},
    {"linger.ms", "linger.ms"},
    {"batch.size", "batch.size"},
    {"client.id", "client.id"},
    {"max.request.size", "message.max.bytes"},
    {"security.protocol", "security.protocol"},
    {"sasl.mechanism", "sasl.mechanism"},
    {"sasl.kerberos.service.name", "sasl.kerberos.service.name"},
    {"ssl.endpoint.identification.algorithm", "ssl.endpoint.identification.algorithm"},
    {"metadata.max.age.ms", "metadata.max.age.ms"}};

/* Those that the relay does not need: it always waits for all replicas, in order, without end. */
static const char *const producer_decided[] = {"acks",
                                               "enable.idempotence",
                                               "retries",
                                               "max.in.flight.requests.per.connection",
                                               "delivery.timeout.ms",
                                               "request.timeout.ms",
                                               "buffer.memory",
                                               "max.block.ms",
                                               "key.serializer",
                                               "value.serializer",
                                               "retry.backoff.ms"};

static void add_property(struct import *im, struct buf *list, const char *name,
                         const struct import_option *o)
{
    buf_printf(list, "%s%s: ", list->len ? ", " : "", name);
    import_text(im, list, o->name, o->value);
}

static bool is_decided(const char *name)
{
    for (size_t i = 0; i < sizeof producer_decided / sizeof *producer_decided; i++) {
        if (strcmp(name, producer_decided[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* `...LoginModule required username="u" password="p";` */
static void add_login(struct import *im, struct buf *list, struct import_option *o)
{
    const char *user = strstr(o->value, "username=");
    if (user) {
        user += strlen("username=");
        user += strspn(user, "\\\"'");
        CLEANUP(buf_release) struct buf name = {0};
        buf_add(&name, user, strcspn(user, "\\\"' ;"));
        buf_printf(list, "%ssasl.username: ", list->len ? ", " : "");
        import_text(im, list, o->name, buf_str(&name));
    }
    struct import_option secret = {.name = o->name, .shown = o->shown, .value = ""};
    buf_printf(list, "%ssasl.password: ", list->len ? ", " : "");
    import_secret(im, list, &secret, "KAFKA_PASSWORD");
    o->taken = true;
}

static void take_property(struct import *im, struct buf *list, struct import_option *o,
                          const char *name)
{
    if (strcmp(name, "bootstrap.servers") == 0) {
        return;
    }
    if (strcmp(name, "sasl.jaas.config") == 0) {
        add_login(im, list, o);
        return;
    }
    for (size_t i = 0; i < sizeof producer_names / sizeof *producer_names; i++) {
        if (strcmp(name, producer_names[i].java) == 0) {
            add_property(im, list, producer_names[i].ours, o);
            o->taken = true;
            return;
        }
    }
    if (is_decided(name)) {
        import_note(im, DEBEZIUM_NOTHING, o, "%s", "");
    } else if (strcmp(name, "partitioner.class") == 0) {
        import_note(im, DEBEZIUM_MESSAGES, o, "%s",
                    "the partition is that of Kafka's own partitioner, or route.partition");
    } else {
        import_note(
            im, DEBEZIUM_OPERATION, o, "%s",
            "look for it in librdkafka's CONFIGURATION.md, and put it into sink.properties; "
            "key stores are PEM files there: ssl.ca.location and others");
    }
}

/* All options with this prefix become properties. */
static void take_properties(struct import *im, struct buf *list, const char *prefix)
{
    size_t n = strlen(prefix);
    for (size_t i = 0; i < im->options->count; i++) {
        struct import_option *o = &im->options->items[i];
        if (!o->taken && strncmp(o->name, prefix, n) == 0) {
            take_property(im, list, o, o->name + n);
        }
    }
}

static void put_brokers(struct import *im, const char *const *names)
{
    const char *found = NULL, *option = NULL;
    for (; *names; names++) {
        const char *value = import_take(im, *names);
        if (value && *value && !found) {
            found = value;
            option = *names;
        }
    }
    if (found) {
        import_put_text(im, IMPORT_SINK, "brokers", option, found);
        return;
    }
    CLEANUP(buf_release) struct buf yaml = {0};
    import_variable(im, &yaml, "KAFKA_BROKERS",
                    "host:port of the brokers, bootstrap.servers of the worker");
    import_put(im, IMPORT_SINK, "brokers", buf_str(&yaml), NULL);
}

static void put_properties(struct import *im, const struct buf *list)
{
    if (list->len) {
        CLEANUP(buf_release) struct buf yaml = {0};
        buf_printf(&yaml, "{%s}", buf_str(list));
        import_put(im, IMPORT_SINK, "properties", buf_str(&yaml), "of the producer");
    }
}

static void connect_kafka(struct import *im)
{
    static const char *const brokers[] = {"producer.override.bootstrap.servers",
                                          "producer.bootstrap.servers", "bootstrap.servers", NULL};
    CLEANUP(buf_release) struct buf list = {0};
    put_brokers(im, brokers);
    take_properties(im, &list, "producer.override.");
    take_properties(im, &list, "producer.");
    put_properties(im, &list);
    struct import_option *exactly = import_find(im, "exactly.once.support");
    if (exactly && import_is(exactly->value, "required")) {
        import_put(im, IMPORT_SINK, "exactly_once", "true", "exactly.once.support");
        exactly->taken = true;
    }
}

static void server_kafka(struct import *im, const char *scheme UNUSED)
{
    static const char *const brokers[] = {"debezium.sink.kafka.producer.bootstrap.servers", NULL};
    CLEANUP(buf_release) struct buf list = {0};
    put_brokers(im, brokers);
    take_properties(im, &list, "debezium.sink.kafka.producer.");
    put_properties(im, &list);
}

static bool is_number(const char *text)
{
    return text && *text && strspn(text, "0123456789") == strlen(text);
}

static void put_ms(struct import *im, const char *key, const char *option)
{
    const char *ms = import_take(im, option);
    if (is_number(ms)) {
        CLEANUP(buf_release) struct buf value = {0};
        buf_printf(&value, "%sms", ms);
        import_put(im, IMPORT_SINK, key, buf_str(&value), option);
    }
}

static void put_secret(struct import *im, const char *key, const char *option, const char *variable)
{
    struct import_option *o = import_find(im, option);
    if (o) {
        CLEANUP(buf_release) struct buf value = {0};
        import_secret(im, &value, o, variable);
        import_put(im, IMPORT_SINK, key, buf_str(&value), option);
        o->taken = true;
    }
}

static void put_if_there(struct import *im, const char *key, const char *option)
{
    const char *value = import_take(im, option);
    if (value && *value) {
        import_put_text(im, IMPORT_SINK, key, option, value);
    }
}

static void put_url(struct import *im, const char *key, const char *option)
{
    const char *url = import_take(im, option);
    import_put_text(im, IMPORT_SINK, key, option, url && *url ? url : "${SINK_URL}");
}

static void server_http(struct import *im, const char *scheme UNUSED)
{
    const char *type = import_take(im, "debezium.sink.http.authentication.type");
    put_url(im, "url", "debezium.sink.http.url");
    put_ms(im, "timeout", "debezium.sink.http.timeout.ms");
    if (import_is(type, "standard-webhooks")) {
        struct import_option *o =
            import_find(im, "debezium.sink.http.authentication.webhook.secret");
        CLEANUP(buf_release) struct buf value = {0};
        struct import_option none = {.shown = "debezium.sink.http.authentication.webhook.secret",
                                     .value = ""};
        buf_add_str(&value, "{secret: ");
        import_secret(im, &value, o ? o : &none, "WEBHOOK_SECRET");
        buf_add_char(&value, '}');
        import_put(im, IMPORT_SINK, "sign", buf_str(&value), "debezium.sink.http.authentication.*");
        if (o) {
            o->taken = true;
        }
    } else if (type) {
        import_note(im, DEBEZIUM_OPERATION,
                    import_find(im, "debezium.sink.http.authentication.type"), "%s",
                    "no tokens are fetched; a fixed one: sink.auth.bearer_file");
    }
    import_say(
        im, DEBEZIUM_MESSAGES, "debezium.sink.type=http",
        "headers of messages come under their own names and as they are, not as X-DEBEZIUM-... "
        "in base64, with webhook-id and idempotency-key");
}

static void server_nats(struct import *im, const char *scheme UNUSED)
{
    put_url(im, "servers", "debezium.sink.nats-jetstream.url");
    put_if_there(im, "username", "debezium.sink.nats-jetstream.auth.user");
    put_secret(im, "password", "debezium.sink.nats-jetstream.auth.password", "NATS_PASSWORD");
}

static void server_redis(struct import *im, const char *scheme)
{
    const char *address = import_take(im, "debezium.sink.redis.address");
    const char *db = import_take(im, "debezium.sink.redis.db.index");
    const char *wait = import_take(im, "debezium.sink.redis.wait.enabled");
    CLEANUP(buf_release) struct buf url = {0};
    buf_printf(&url, "%s%s", scheme, address && *address ? address : "${REDIS_ADDRESS}");
    if (db && !import_is(db, "0")) {
        buf_printf(&url, "/%s", db);
    }
    import_put_text(im, IMPORT_SINK, "url", "debezium.sink.redis.address", buf_str(&url));
    put_if_there(im, "username", "debezium.sink.redis.user");
    put_secret(im, "password", "debezium.sink.redis.password", "REDIS_PASSWORD");
    if (import_is(wait, "true")) {
        const char *ms = import_take(im, "debezium.sink.redis.wait.timeout.ms");
        CLEANUP(buf_release) struct buf value = {0};
        buf_printf(&value, "{replicas: 1, timeout: %sms}", is_number(ms) ? ms : "1000");
        import_put(im, IMPORT_SINK, "wait", buf_str(&value), "debezium.sink.redis.wait.*");
    }
    import_say(
        im, DEBEZIUM_MESSAGES, "debezium.sink.type=redis",
        "an entry has the fields id, type, key, payload and h:NAME, not a field that is called as "
        "its key");
}

/* The key is fixed, the topic, or the message's key. */
static void put_routing_key(struct import *im)
{
    const char *source = import_take(im, "debezium.sink.rabbitmq.routingKey.source");
    const char *topic = import_take(im, "debezium.sink.rabbitmq.routingKeyFromTopicName");
    const char *fixed = import_take(im, "debezium.sink.rabbitmq.routingKey");
    if (import_is(source, "topic") || import_is(topic, "true")) {
        import_put(im, IMPORT_SINK, "routing_key", "\"{topic}\"",
                   "debezium.sink.rabbitmq.routingKey.source");
    } else if (import_is(source, "key")) {
        import_put(im, IMPORT_SINK, "routing_key", "\"{key}\"",
                   "debezium.sink.rabbitmq.routingKey.source");
    } else {
        CLEANUP(buf_release) struct buf yaml = {0};
        import_text(im, &yaml, "debezium.sink.rabbitmq.routingKey", fixed ? fixed : "");
        import_put(im, IMPORT_SINK, "routing_key", yaml.len ? buf_str(&yaml) : "\"\"",
                   "debezium.sink.rabbitmq.routingKey");
    }
}

static void server_rabbitmq(struct import *im, const char *scheme)
{
    const char *host = import_take(im, "debezium.sink.rabbitmq.connection.host");
    const char *port = import_take(im, "debezium.sink.rabbitmq.connection.port");
    const char *vhost = import_take(im, "debezium.sink.rabbitmq.connection.virtual.host");
    const char *exchange = import_take(im, "debezium.sink.rabbitmq.exchange");
    CLEANUP(buf_release) struct buf url = {0};
    buf_printf(&url, "%s%s", scheme, host && *host ? host : "localhost");
    if (port && *port) {
        buf_printf(&url, ":%s", port);
    }
    if (vhost && *vhost && strcmp(vhost, "/") != 0) {
        buf_add_char(&url, '/');
        import_url_part(im, &url, "debezium.sink.rabbitmq.connection.virtual.host", vhost);
    }
    import_put_text(im, IMPORT_SINK, "url", "debezium.sink.rabbitmq.connection.host",
                    buf_str(&url));
    import_put_text(im, IMPORT_SINK, "exchange", "debezium.sink.rabbitmq.exchange",
                    exchange && *exchange ? exchange : "{topic}");
    put_routing_key(im);
    const char *user = import_take(im, "debezium.sink.rabbitmq.connection.username");
    import_put_text(im, IMPORT_SINK, "username", "debezium.sink.rabbitmq.connection.username",
                    user && *user ? user : "guest");
    put_secret(im, "password", "debezium.sink.rabbitmq.connection.password", "RABBITMQ_PASSWORD");
    if (import_is(import_take(im, "debezium.sink.rabbitmq.deliveryMode"), "1")) {
        import_put(im, IMPORT_SINK, "persistent", "false", "debezium.sink.rabbitmq.deliveryMode");
    }
}

static const struct {
    const char *theirs, *ours, *scheme;
    void (*take)(struct import *im, const char *scheme);
} sinks[] = {
#define SINK(theirs, ours, scheme, take) {theirs, ours, scheme, take},
#include "cli/import/sinks.def"
#undef SINK
};

void import_sink(struct import *im)
{
    static const char *const none = NULL;
    struct import_option *type = import_find(im, "debezium.sink.type");
    size_t i = 0;
    while (im->server && i < sizeof sinks / sizeof *sinks &&
           !import_is(type ? type->value : NULL, sinks[i].theirs)) {
        i++;
    }
    if (i == sizeof sinks / sizeof *sinks) {
        import_put(im, IMPORT_SINK, "type", sinks[0].ours,
                   "there is no sink of debezium.sink.type");
        put_brokers(im, &none);
        import_todo(im, "choose a sink: commitrelay reference config lists them");
        if (type) {
            import_note(im, DEBEZIUM_MESSAGES, type, "%s",
                        "there is no such sink; choose another one");
        }
        for (size_t at = 0; at < im->options->count; at++) { /* its options go with it */
            struct import_option *o = &im->options->items[at];
            o->taken |= strncmp(o->name, "debezium.sink.", strlen("debezium.sink.")) == 0;
        }
        return;
    }
    import_put(im, IMPORT_SINK, "type", sinks[i].ours, type ? "debezium.sink.type" : NULL);
    if (type) {
        type->taken = true;
        sinks[i].take(im, sinks[i].scheme);
    } else {
        connect_kafka(im);
    }
}
