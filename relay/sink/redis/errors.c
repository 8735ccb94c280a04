/*
 * The table of the servers' error replies.
 */
#include "sink/redis/errors.h"

#include <string.h>

#define CLUSTER                                                                                  \
    "this is a cluster, whose streams lie on several servers; give the URL of a server that is " \
    "not in cluster mode"
#define LOGIN "correct sink.username and sink.password_file, or the server's ACL"

/* The first rule whose text the reply begins with counts. */
static const struct rule {
    const char *begins;
    enum error_class class;
    int exit_code;
    const char *remedy;
} rules[] = {
    {"MOVED", ERROR_CONFIG, EXIT_CODE_CONFIG, CLUSTER},
    {"ASK", ERROR_CONFIG, EXIT_CODE_CONFIG, CLUSTER},
    {"CLUSTERDOWN", ERROR_CONFIG, EXIT_CODE_CONFIG, CLUSTER},
    {"CROSSSLOT", ERROR_CONFIG, EXIT_CODE_CONFIG, CLUSTER},

    /* It works, and asks to wait. */
    {"OOM", ERROR_BUSY, EXIT_CODE_GAVE_UP,
     "the server has no memory left; raise its maxmemory, trim or delete streams, or set "
     "sink.maxlen"},
    {"BUSY ", ERROR_BUSY, EXIT_CODE_GAVE_UP, "the server runs a script; it is asked again"},

    {"LOADING", ERROR_RETRY, EXIT_CODE_GAVE_UP, "the server reads its data after a start"},
    {"READONLY", ERROR_RETRY, EXIT_CODE_GAVE_UP,
     "the server is a replica; name the primary in sink.url, which may list several servers"},
    {"MASTERDOWN", ERROR_RETRY, EXIT_CODE_GAVE_UP,
     "the server is a replica; name the primary in sink.url, which may list several servers"},
    {"NOREPLICAS", ERROR_RETRY, EXIT_CODE_GAVE_UP,
     "fewer replicas than the server's min-replicas-to-write are there; look after the replicas"},
    {"MISCONF", ERROR_RETRY, EXIT_CODE_GAVE_UP,
     "the server cannot write to its disk; look into its log and at the disk"},
    {"ERR max number of clients", ERROR_RETRY, EXIT_CODE_GAVE_UP, "raise the server's maxclients"},

    {"NOAUTH", ERROR_CONFIG, EXIT_CODE_PERMISSION,
     "the server wants a login; give sink.username and sink.password_file"},
    {"WRONGPASS", ERROR_CONFIG, EXIT_CODE_PERMISSION, LOGIN},
    {"ERR AUTH", ERROR_CONFIG, EXIT_CODE_PERMISSION, LOGIN},
    {"NOPERM", ERROR_CONFIG, EXIT_CODE_PERMISSION,
     "give the user the right: ACL SETUSER <user> ~<stream> +xadd +multi +exec (pubsub: "
     "&<channel> +publish +multi +exec; with sink.wait: +wait)"},
    {"DENIED", ERROR_CONFIG, EXIT_CODE_PERMISSION,
     "the server is in protected mode; give it a password, or set bind and protected-mode"},

    {"WRONGTYPE", ERROR_CONFIG, EXIT_CODE_CONFIG,
     "a key of that name is there and is no stream; rename it (RENAME), or correct sink.stream"},
    {"ERR DB index", ERROR_CONFIG, EXIT_CODE_CONFIG,
     "the server has no database of this number; correct sink.url"},
    {"ERR Protocol error: invalid bulk", ERROR_CONFIG, EXIT_CODE_CONFIG,
     "an event is larger than the server's proto-max-bulk-len; raise it, or set "
     "delivery.max_event_bytes below it"},
    {"ERR Elements are too large", ERROR_POISON, EXIT_CODE_GAVE_UP,
     "no entry of a stream may be so large"},
    {"ERR The stream has exhausted", ERROR_CONFIG, EXIT_CODE_CONFIG,
     "the stream's last id is the highest there is; begin a new stream with sink.stream"},
};

static const struct rule other = {"", ERROR_RETRY, EXIT_CODE_GAVE_UP, "it is sent again"};

/* The server repeats the arguments of a command that it does not know: they are event data. */
static const struct rule unknown = {
    "ERR unknown command", ERROR_CONFIG, EXIT_CODE_CONFIG,
    "commitrelay needs Redis 6.0 or later, or Valkey; was a command renamed (rename-command)?"};

static bool begins(struct slice text, const char *with)
{
    size_t n = strlen(with);
    return text.len >= n && memcmp(text.ptr, with, n) == 0;
}

static const struct rule *rule_of(struct slice reply)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (begins(reply, rules[i].begins)) {
            return &rules[i];
        }
    }
    return begins(reply, unknown.begins) ? &unknown : &other;
}

int redis_error(struct error *err, const char *server, struct slice about, struct slice reply)
{
    enum { SHOWN = 300 };
    char code[sizeof err->code] = "";
    const struct rule *r = rule_of(reply);
    struct slice shown = r == &unknown ? slice_from(unknown.begins) : reply;
    shown.len = shown.len > SHOWN ? SHOWN : shown.len;
    error_exit(err, r->class, r->exit_code, "redis", "%s%s%.*s: %.*s; %s", server,
               about.len > 0 ? ", " : "", SLICE_FMT(about), SLICE_FMT(shown), r->remedy);
    for (size_t i = 0; i < reply.len && i + 1 < sizeof code && reply.ptr[i] != ' '; i++) {
        code[i] = reply.ptr[i];
    }
    return error_code(err, code);
}
