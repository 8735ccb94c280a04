/* Checks the texts that become settings of a Kafka client. */
#include "value/kafka_text.h"

#include <stddef.h>
#include <string.h>

static bool is_port(const char *text, size_t len)
{
    long port = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9' || (port = port * 10 + (text[i] - '0')) > 65535) {
            return false;
        }
    }
    return port > 0;
}

int kafka_text_brokers(const char *brokers, struct error *err)
{
    const char *p = brokers;
    do {
        size_t len = strcspn(p, ",");
        const char *host = memmem(p, len, "://", 3);
        host = host ? host + 3 : p;
        size_t left = len - (size_t)(host - p);
        const char *bracket = memchr(host, ']', left);
        const char *colon = memrchr(host, ':', left);
        bool port = colon && (!bracket || colon > bracket);
        size_t host_len = port ? (size_t)(colon - host) : left;
        if (host_len == 0 || memchr(host, ' ', left) || memchr(host, '/', left) ||
            (port && !is_port(colon + 1, left - host_len - 1))) {
            return error_set(
                err, ERROR_CONFIG, "config",
                "brokers \"%s\": \"%.*s\" is not host:port; write it as host:port[,host:port]",
                brokers, (int)len, p);
        }
        p += len;
    } while (*p++ == ',');
    return RESULT_DONE;
}

bool kafka_text_loads_code(const char *property)
{
    static const char *const names[] = {"plugin.library.paths", "ssl.engine.location",
                                        "ssl.engine.id", "ssl.providers",
                                        "sasl.kerberos.kinit.cmd"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(property, names[i]) == 0) {
            return true;
        }
    }
    return false;
}
