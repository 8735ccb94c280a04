/* The schema registry of Confluent's converters, and of Apicurio's where its frames are Confluent's
 * (encode.value, encode.registry). */
#include "cli/import/internal.h"

/* The names of a converter's options begin with this: of values, of keys, of both. */
static const char *const of_connect[] = {"value.converter.", "key.converter.", NULL};
static const char *const of_server[] = {"debezium.format.value.", "debezium.format.key.",
                                        "debezium.format.", NULL};

/* The first that is there; the same of the others goes with it. */
static struct import_option *take_first(struct import *im, const char *name)
{
    struct import_option *first = NULL;
    for (const char *const *begin = im->server ? of_server : of_connect; *begin; begin++) {
        CLEANUP(buf_release) struct buf whole = {0};
        buf_printf(&whole, "%s%s", *begin, name);
        struct import_option *o = import_find(im, buf_str(&whole));
        if (o) {
            first = first ? first : o;
            o->taken = true;
        }
    }
    return first;
}

/* Confluent's API of an Apicurio registry, beside its own one: http://host/apis/registry/v2. */
static void add_apicurio(struct import *im, struct buf *yaml, const struct import_option *o)
{
    CLEANUP(buf_release) struct buf url = {0};
    const char *path = strstr(o->value, "/apis/");
    buf_add(&url, o->value, path ? (size_t)(path - o->value) : strlen(o->value));
    while (url.len > 0 && url.data[url.len - 1] == '/') {
        buf_truncate(&url, url.len - 1);
    }
    buf_add_str(&url, "/apis/ccompat/v7");
    import_text(im, yaml, o->name, buf_str(&url));
}

/* Confluent's takes a list, of which the first one is tried first. */
static void add_first(struct import *im, struct buf *yaml, struct import_option *o)
{
    CLEANUP(buf_release) struct buf url = {0};
    buf_add(&url, o->value, strcspn(o->value, ","));
    import_text(im, yaml, o->name, buf_str(&url));
    if (strchr(o->value, ',')) {
        import_note(im, DEBEZIUM_OPERATION, o, "%s",
                    "the relay asks one registry: the first of the list, or a balancer before all");
    }
}

static void add_url(struct import *im, struct buf *yaml)
{
    struct import_option *url = take_first(im, "schema.registry.url");
    struct import_option *apicurio = take_first(im, "apicurio.registry.url");
    struct import_option *frames = take_first(im, "apicurio.registry.as-confluent");
    buf_add_str(yaml, "{url: ");
    if (url) {
        add_first(im, yaml, url);
    } else if (apicurio) {
        add_apicurio(im, yaml, apicurio);
        if (!frames || !import_is(frames->value, "true")) {
            import_note(im, DEBEZIUM_MESSAGES, apicurio, "%s",
                        "the frame has Confluent's four bytes of a number, as with "
                        "apicurio.registry.as-confluent=true and use-id=contentId");
        }
    } else {
        import_variable(im, yaml, "SCHEMA_REGISTRY_URL", "the schema registry, http://host:8081");
    }
}

/* `user:password`; the user is no secret, unless all of it comes from elsewhere. */
static void add_login(struct import *im, struct buf *yaml)
{
    struct import_option *o = take_first(im, "basic.auth.user.info");
    (void)take_first(im, "basic.auth.credentials.source");
    if (!o) {
        return;
    }
    CLEANUP(buf_release) struct buf user = {0};
    size_t n = strcspn(o->value, ":");
    buf_add_str(yaml, ", username: ");
    if (strncmp(o->value, "${", 2) == 0 || o->value[n] != ':') {
        import_variable(im, yaml, "SCHEMA_REGISTRY_USER", "the user of the schema registry");
    } else {
        buf_add(&user, o->value, n);
        import_text(im, yaml, o->name, buf_str(&user));
    }
    const struct import_option password = {.name = o->name, .shown = o->shown, .value = ""};
    buf_add_str(yaml, ", password: ");
    import_secret(im, yaml, &password, "SCHEMA_REGISTRY_PASSWORD");
}

static void add_subject(struct import *im, struct buf *yaml)
{
    struct import_option *value = take_first(im, "value.subject.name.strategy");
    struct import_option *key = take_first(im, "key.subject.name.strategy");
    struct import_option *o = value ? value : key;
    if (o && strstr(o->value, ".RecordNameStrategy")) {
        buf_add_str(yaml, ", subject: record");
    } else if (o && !strstr(o->value, ".TopicNameStrategy")) {
        import_note(im, DEBEZIUM_OPERATION, o, "%s",
                    "subjects are `<topic>-value`, or with `subject: record` the record's name");
    }
}

const char *import_registry(struct import *im, const char *value, const char *from)
{
    CLEANUP(buf_release) struct buf yaml = {0};
    if (!import_to_first_sink(im)) {
        return "values with a schema of a registry go to Kafka alone";
    }
    import_put(im, IMPORT_ENCODE, "value", value, from);
    add_url(im, &yaml);
    add_login(im, &yaml);
    add_subject(im, &yaml);
    buf_add_char(&yaml, '}');
    import_put(im, IMPORT_ENCODE, "registry", buf_str(&yaml), "schema.registry.url");
    return NULL;
}
