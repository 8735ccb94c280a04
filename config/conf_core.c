/* The key tables of everything outside the plugins: store, log, admin, and of a pipeline route,
 * encode and delivery, with defaults, ranges and help texts. */
#include "config/conf_core.h"

#include "message/format.h"
#include "model/field.h"

#define MILLISECOND INT64_C(1000)
#define HOUR INT64_C(3600000000)
#define MIB (INT64_C(1) << 20)
#define TOP(field) offsetof(struct config, field)
#define PIPELINE(field) offsetof(struct conf_pipeline, field)
#define ROUTE(field) offsetof(struct conf_route, field)
#define ENCODE(field) offsetof(struct conf_encode, field)
#define DELIVERY(field) offsetof(struct conf_delivery, field)

const char *const conf_top_extra[] = {"pipelines", "consumers", NULL};
const char *const conf_pipeline_extra[] = {"source", "sink", "mask", NULL};
const char *const conf_plugin_extra[] = {"type", NULL};

/* A value is an index into its list, so the words must stand in the sequence of enum log_level,
 * log_format, CONF_TIMESTAMP_*, encode_decimal, encode_time, encode_binary, encode_interval,
 * encode_hstore, encode_value, CONF_SUBJECT_*, unwrap_deletes and CONF_POISON_*. */
static const char *const levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const log_formats[] = {"logfmt", "json", "ecs", NULL};
static const char *const timestamps[] = {"created_at", "now", NULL};
static const char *const decimals[] = {"precise", "double", "string", NULL};
static const char *const times[] = {
    "adaptive", "adaptive_time_microseconds", "connect", "isostring", "microseconds", "nanoseconds",
    NULL};
static const char *const binaries[] = {"bytes", "base64", "base64-url-safe", "hex", NULL};
static const char *const intervals[] = {"numeric", "string", NULL};
static const char *const hstores[] = {"json", "map", NULL};
static const char *const values[] = {"json", "avro", "json_schema", NULL};
static const char *const values_help[] = {
    "the text of the format",
    "Avro in Confluent's wire format, as Debezium's Avro converter gives it",
    "the text of the format in Confluent's wire format, with a JSON Schema", NULL};
static const char *const subjects[] = {"topic", "record", NULL};
static const char *const deletes[] = {"drop", "tombstone", "rewrite", NULL};
static const char *const deletes_helps[] = {"a delete makes no message",
                                            "a message without a value",
                                            "the old row, and `__deleted` in every message", NULL};
static const char *const operations[] = {"c", "u", "d", "r", "t", "m", "none", NULL};
static const char *const poisons[] = {"stop", "skip", "park_key", NULL};

/* The columns below are name, type, offset, default, min and max; then come named members. The
 * offset of a key counts from the offset of its group. store, log and admin have offset 0, so their
 * keys count from struct config. */
static const struct conf_key store_keys[] = {
    {"url", CONF_SECRET, TOP(store.url), "sqlite:commitrelay.db", .required = true,
     .help = "where dead letters and CDC cursors are kept: `sqlite:PATH` or `postgresql://...`. A "
             "relative path "
             "starts at `$STATE_DIRECTORY` or the working directory. Outbox sources keep theirs "
             "with the outbox"},
    {"lease", CONF_DURATION, TOP(store.lease_us), "5s", 0, HOUR,
     .help =
         "PostgreSQL: a relay that is frozen or cut off for so long loses its lock, and another "
         "one takes over; `0s`: never, else at least `1s`"},
    CONF_END};

static const struct conf_key log_keys[] = {
    {"level", CONF_ENUM, TOP(log.level), "info", .choices = levels,
     .help = "the least important line that is written"},
    {"format", CONF_ENUM, TOP(log.format), "logfmt", .choices = log_formats,
     .help = "how lines look; they go to stderr. `ecs`: JSON with the field names of the Elastic "
             "Common Schema (docs/LOGS.md)"},
    CONF_END};

static const struct conf_key admin_keys[] = {
    {"listen", CONF_STRING, TOP(admin.listen), NULL,
     .help =
         "`HOST:PORT` or `unix:PATH` of the console (`/`), /api/v1, /healthz, /readyz, /metrics and "
         "/status; off without it"},
    {"hosts", CONF_LIST, TOP(admin.hosts), NULL,
     .help =
         "Further names that a request's Host header may have, beside the address it listens on "
         "and localhost: those of a proxy or a service, without port"},
    {"token", CONF_SECRET, TOP(admin.token), NULL,
     .help = "what a request to /api/v1 has to give as `Authorization: Bearer` to act, and to see "
             "payloads, over TCP. At least 16 printable characters; take `token_file`. Over a Unix "
             "socket none is needed"},
    {"actions", CONF_BOOL, TOP(admin.actions), "false",
     .help = "the console may pause, resume, retry, drop, edit and set positions: over "
             "`unix:PATH`, or with the token"},
    {"socket", CONF_STRING, TOP(admin.socket), "commitrelay.sock",
     .given_offset = TOP(admin.socket_given),
     .help = "a Unix socket (mode 0600) over which the commands find the daemon and give it their "
             "orders. A relative path starts where that of `store.url` does; `\"\"`: none"},
    CONF_END};

static const struct conf_key dead_letters_keys[] = {
    {"keep", CONF_DURATION, TOP(dead_letters.keep_us), "30d", MILLISECOND * 1000, 3650 * 24 * HOUR,
     .help = "how long a dead letter is kept after it was retried or dropped. One that is open is "
             "never removed, nor one of a row that stays in its table"},
    CONF_END};

static const struct conf_key audit_keys[] = {
    {"path", CONF_STRING, TOP(audit.path), NULL,
     .help = "a file to which a line of JSON is appended for each act: who did what to which "
             "pipeline, with what was before and after. A relative path starts where that of "
             "`store.url` does; SIGUSR1 opens it again; none without it"},
    CONF_END};

const struct conf_key conf_top_keys[] = {
    {"store", CONF_GROUP, .group = store_keys, .help = "where state is kept"},
    {"log", CONF_GROUP, .group = log_keys, .help = "log lines"},
    {"admin", CONF_GROUP, .group = admin_keys, .help = "the admin port"},
    {"dead_letters", CONF_GROUP, .group = dead_letters_keys, .help = "events put aside"},
    {"audit", CONF_GROUP, .group = audit_keys, .help = "who did what"},
    CONF_END};

#define REWRITE(field) \
    (offsetof(struct conf_route, topic_rewrite.field) - offsetof(struct conf_route, topic_rewrite))

static const struct conf_key rewrite_keys[] = {
    {"match", CONF_STRING, REWRITE(match), NULL,
     .help = "a regular expression for the whole topic that `route.topic` gives; one that does not "
             "match stays as it is"},
    {"to", CONF_STRING, REWRITE(to), NULL,
     .help = "the new topic, with `$1` or `$${name}` for a group (`$${` is a literal `${`)"},
    {"key_field", CONF_STRING, REWRITE(key_field), NULL,
     .help = "changes: a member with the old topic, added to the key of a message whose topic was "
             "rewritten, because rows of several tables may have the same key"},
    CONF_END};

static const struct conf_key route_keys[] = {
    {"topic", CONF_STRING, ROUTE(topic), "outbox.event.{aggregatetype}", .required = true,
     .given_offset = ROUTE(topic_given),
     .help = "the topic; `{column}` stands for a column of the row. Table changes have `{name}` "
             "(encode.name), `{schema}`, `{table}`, `{op}` and the columns of their row, and "
             "without this key `{name}.{schema}.{table}`"},
    {"key", CONF_STRING, ROUTE(key), "{aggregateid}", .given_offset = ROUTE(key_given),
     .help = "the message key; order is kept among equal keys. Table changes without this key: "
             "the row's key"},
    {"topic_rewrite", CONF_GROUP, ROUTE(topic_rewrite), .group = rewrite_keys,
     .help = "another topic for topics that match"},
    {"partition", CONF_STRING, ROUTE(partition), NULL,
     .help = "an int column with the partition; empty: by key"},
    {"timestamp", CONF_ENUM, ROUTE(timestamp), "created_at", .choices = timestamps,
     .help = "the message's own timestamp"},
    {"allow_topics", CONF_LIST, ROUTE(allow_topics), NULL,
     .help = "patterns (`*`, `?`) of allowed topics; any other topic makes the event poison. Any "
             "topic without it"},
    CONF_END};

#define REGISTRY(field) offsetof(struct conf_registry, field)

static const struct conf_key registry_keys[] = {
    {"url", CONF_SECRET, REGISTRY(url), NULL,
     .help = "the schema registry, with the path of its API: `https://host:8081`, Apicurio: "
             "`http://host/apis/ccompat/v7`"},
    {"username", CONF_STRING, REGISTRY(username), NULL, .help = "the user to log in as"},
    {"password", CONF_SECRET, REGISTRY(password), NULL, .help = "the user's password"},
    {"ca_file", CONF_STRING, REGISTRY(ca_file), NULL,
     .help = "PEM of the authority that issued its certificate; the system's without it"},
    {"subject", CONF_ENUM, REGISTRY(subject), "topic", .choices = subjects,
     .help = "what a schema is registered under: `<topic>-key` and `<topic>-value`, or the name of "
             "its record"},
    {"connect_timeout", CONF_DURATION, REGISTRY(connect_timeout_us), "5s", MILLISECOND, HOUR,
     .help = "the longest wait for a connection"},
    {"timeout", CONF_DURATION, REGISTRY(timeout_us), "10s", MILLISECOND, HOUR,
     .help = "the longest wait for an answer"},
    CONF_END};

#define UNWRAP(field) \
    (offsetof(struct conf_encode, unwrap.field) - offsetof(struct conf_encode, unwrap))

static const struct conf_key unwrap_keys[] = {
    {"add_fields", CONF_LIST, UNWRAP(add_fields), NULL,
     .help = "debezium: what is added to the row, such as `op`, `table`, `lsn`, `source.ts_ms`, "
             "`op:kind`"},
    {"add_headers", CONF_LIST, UNWRAP(add_headers), NULL, .help = "debezium: the same as headers"},
    {"fields_prefix", CONF_STRING, UNWRAP(fields_prefix), "__",
     .help = "debezium: what the names of `add_fields` begin with"},
    {"headers_prefix", CONF_STRING, UNWRAP(headers_prefix), "__",
     .help = "debezium: what the names of `add_headers` begin with"},
    {"deletes", CONF_ENUM, UNWRAP(deletes), "tombstone", .choices = deletes,
     .choices_help = deletes_helps, .help = "debezium: what becomes of a delete"},
    CONF_END};

static const struct conf_key encode_keys[] = {
    {"format", CONF_ENUM, ENCODE(format), "payload", .choices = format_words,
     .choices_help = format_helps, .help = "what a message holds"},
    {"headers", CONF_NAMED, ENCODE(headers), "[id, type, created_at]", .choices = event_own_fields,
     .help = "event fields that become message headers; `id` is always one. Also `{column: C, as: "
             "H}`, any column under another name, and `{value: V, as: H}`, a text that is always "
             "the same; sinks without message headers write them into `headers`"},
    {"name", CONF_STRING, ENCODE(name), NULL, .given_offset = ENCODE(given.name),
     .help = "changes: the `{name}` of topics, and Debezium's `topic.prefix`; the pipeline's name "
             "without it"},
    {"source", CONF_STRING, ENCODE(source), NULL, .given_offset = ENCODE(given.source),
     .help = "CloudEvents: the attribute `source`, a URI reference; `/commitrelay/<name>` without "
             "it"},
    {"skipped_operations", CONF_LIST, ENCODE(skipped_operations), "[t]", .choices = operations,
     .help = "changes that are left out: `c` `u` `d` `r` (snapshot) `t` (truncate) `m` (message); "
             "`none`: none"},
    {"unavailable_placeholder", CONF_STRING, ENCODE(unavailable_placeholder),
     "__debezium_unavailable_value", .given_offset = ENCODE(given.unavailable_placeholder),
     .help = "changes: what stands for a large value that the server did not send "
             "(`unchanged_toast: placeholder`)"},
    {"flat_prefix", CONF_STRING, ENCODE(flat_prefix), "__",
     .given_offset = ENCODE(given.flat_prefix),
     .help = "flat, json and CloudEvents of changes: what the names of our own members begin with "
             "(`__op`, `__table`, ...); a column with one of these names is refused"},
    {"tombstones", CONF_BOOL, ENCODE(tombstones), "true", .given_offset = ENCODE(given.tombstones),
     .help = "debezium: a null value behind each delete, for log compaction"},
    {"transaction_metadata", CONF_BOOL, ENCODE(transaction_metadata), "false",
     .given_offset = ENCODE(given.transaction_metadata),
     .help =
         "debezium: its `provide.transaction.metadata`: a message in `<name>.transaction` where "
         "a transaction begins and where it ends, and `transaction` in its changes"},
    {"heartbeat_topic", CONF_STRING, ENCODE(heartbeat_topic), NULL,
     .given_offset = ENCODE(given.heartbeat_topic),
     .help =
         "debezium: a message there every `source.heartbeat_interval`, as its "
         "`heartbeat.interval.ms` sends them to `__debezium-heartbeat.<name>`; none without it"},
    {"decimal", CONF_ENUM, ENCODE(decimal), "precise", .choices = decimals,
     .given_offset = ENCODE(given.decimal), .help = "debezium: its `decimal.handling.mode`"},
    {"time", CONF_ENUM, ENCODE(time), "adaptive", .choices = times,
     .given_offset = ENCODE(given.time), .help = "debezium: its `time.precision.mode`"},
    {"binary", CONF_ENUM, ENCODE(binary), "bytes", .choices = binaries,
     .given_offset = ENCODE(given.binary), .help = "debezium: its `binary.handling.mode`"},
    {"interval", CONF_ENUM, ENCODE(interval), "numeric", .choices = intervals,
     .given_offset = ENCODE(given.interval), .help = "debezium: its `interval.handling.mode`"},
    {"hstore", CONF_ENUM, ENCODE(hstore), "json", .choices = hstores,
     .given_offset = ENCODE(given.hstore), .help = "debezium: its `hstore.handling.mode`"},
    {"value", CONF_ENUM, ENCODE(value), "json", .choices = values, .choices_help = values_help,
     .given_offset = ENCODE(given.value),
     .help = "debezium and flat: how keys and values are written. With a schema a flat row has "
             "Debezium's types, and obeys decimal, time, binary, interval and hstore"},
    {"schemas", CONF_BOOL, ENCODE(schemas), "false", .given_offset = ENCODE(given.schemas),
     .help = "debezium: the schema of Kafka Connect stands in every key and value, as with "
             "`schemas.enable=true` of the JSON converter"},
    {"registry", CONF_GROUP, ENCODE(registry), .group = registry_keys,
     .help = "the schema registry of `value: avro` and `json_schema`"},
    {"key_columns", CONF_LISTS, ENCODE(key_columns), NULL,
     .help = "changes: the columns of the message key of a table, `{schema.table: [a, b]}`, in "
             "place of the row's key"},
    {"include_columns", CONF_LIST, ENCODE(include_columns), NULL,
     .help = "changes: regular expressions for `schema.table.column`, in any case of letters; rows "
             "have only columns that match one as a whole. Keys stay whole"},
    {"exclude_columns", CONF_LIST, ENCODE(exclude_columns), NULL,
     .help = "changes: the same, for columns that rows do not have"},
    {"expand_json", CONF_BOOL, ENCODE(expand_json), "false",
     .given_offset = ENCODE(given.expand_json),
     .help = "payload: JSON is written anew as Debezium's outbox router does with "
             "`table.expand.json.payload`, anything else as a JSON string"},
    {"blank_is_null", CONF_BOOL, ENCODE(blank_is_null), "false",
     .given_offset = ENCODE(given.blank_is_null),
     .help = "payload: a payload of blanks is sent as null, as with Debezium's "
             "`route.tombstone.on.empty.payload`"},
    {"envelope", CONF_MAP, ENCODE(envelope), NULL, .given_offset = ENCODE(given.envelope),
     .shown = true,
     .help =
         "payload: the value is a JSON object with the payload as a string (with `expand_json` "
         "as JSON) in `payload`, and columns of the row beside it, as with Debezium's placement "
         "`column:envelope:alias`: `{COLUMN: NAME}`"},
    {"unwrap", CONF_GROUP, ENCODE(unwrap), .group = unwrap_keys,
     .given_offset = ENCODE(given.unwrap), .help = "debezium: the row alone, without the envelope"},
    CONF_END};

static const struct conf_key retry_keys[] = {
    {"initial", CONF_DURATION, DELIVERY(retry.initial_us), "100ms", MILLISECOND, HOUR,
     .help =
         "the first wait after a failure, with full jitter; doubled each time, reset by a success"},
    {"max", CONF_DURATION, DELIVERY(retry.max_us), "30s", MILLISECOND, 24 * HOUR,
     .help = "the longest wait"},
    CONF_END};

static const struct conf_key breaker_keys[] = {
    {"window", CONF_INT, DELIVERY(breaker.window), "20", 1, CONF_BREAKER_WINDOW_MAX,
     .help = "how many last attempts are looked at"},
    {"failure_ratio", CONF_RATIO, DELIVERY(breaker.failure_ratio), "0.5", 1, 1000,
     .help = "the share of failures among them that opens the breaker"},
    {"open_for", CONF_DURATION, DELIVERY(breaker.open_for_us), "10s", MILLISECOND, 24 * HOUR,
     .help = "how long it stays open before one attempt is let through"},
    CONF_END};

static const struct conf_key park_keys[] = {
    {"max_keys", CONF_INT, DELIVERY(park.max_keys), "1000", 1, 1000000,
     .help = "keys that may be parked; the pipeline blocks before it parks one more"},
    {"max_events", CONF_INT, DELIVERY(park.max_events), "100000", 1, 1000000000,
     .help = "events that may wait behind dead letters; the pipeline blocks before one more"},
    CONF_END};

static const struct conf_key delivery_keys[] = {
    {"max_in_flight", CONF_INT, DELIVERY(max_in_flight), "10000", 1, 10000000,
     .help = "events read and not yet acknowledged, at most"},
    {"max_in_flight_bytes", CONF_SIZE, DELIVERY(max_in_flight_bytes), "16MiB", 1, 65536 * MIB,
     .help = "their bytes, at most; one larger event is still admitted alone"},
    {"max_event_bytes", CONF_SIZE, DELIVERY(max_event_bytes), "64MiB", 1024, 1024 * MIB,
     .help = "an event with more is poison; where that can be known before, it is not fetched"},
    {"save_interval", CONF_DURATION, DELIVERY(save_interval_us), "100ms", 0, HOUR,
     .help = "the cursor is saved this often, at most"},
    {"drain_timeout", CONF_DURATION, DELIVERY(drain_timeout_us), "10s", 0, 24 * HOUR,
     .help = "how long a stop waits for what is in flight"},
    {"retry", CONF_GROUP, .group = retry_keys, .help = "waits between attempts"},
    {"breaker", CONF_GROUP, .group = breaker_keys, .help = "the circuit breaker"},
    {"poison", CONF_ENUM, DELIVERY(poison), "stop", .choices = poisons,
     .help = "what an event that can never be delivered does: stop the pipeline, or become a dead "
             "letter. `park_key`: later events of its key wait until it is retried or dropped, all "
             "others flow"},
    {"park", CONF_GROUP, .group = park_keys, .help = "limits of `poison: park_key`"},
    {"attempts", CONF_INT, DELIVERY(attempts), "3", 1, 1000,
     .help = "tries of a suspect event, sent alone, before it is a dead letter"},
    {"dead_letter_topic", CONF_STRING, DELIVERY(dead_letter_topic), NULL,
     .help = "a topic for a copy of each dead letter"},
    {"ordered", CONF_BOOL, DELIVERY(ordered), "true",
     .help = "refuse a source that cannot keep the order of a key"},
    {"at_most_once", CONF_BOOL, DELIVERY(at_most_once), "false",
     .help = "allow a sink that keeps nothing, as Redis' publish and subscribe: an event that "
             "nobody listens to is lost"},
    CONF_END};

const struct conf_key conf_pipeline_keys[] = {
    {"name", CONF_STRING, PIPELINE(name), NULL, .required = true,
     .help = "the pipeline's name, 1 to 40 of `a-z 0-9 _ -`; state is stored under it"},
    {"route", CONF_GROUP, PIPELINE(route), .group = route_keys, .help = "where an event goes"},
    {"encode", CONF_GROUP, PIPELINE(encode), .group = encode_keys,
     .help = "what a message looks like"},
    {"delivery", CONF_GROUP, PIPELINE(delivery), .group = delivery_keys,
     .help = "how events are delivered"},
    CONF_END};
