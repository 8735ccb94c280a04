/* The topics are the producers' own, so their properties tell how to reach them. What only a
 * producer has is ignored, with lines in a log that nobody reads. */
#include "sink/kafka/consumer.h"

#include <stdbool.h>

static bool set_all(rd_kafka_conf_t *c, const char *const (*pairs)[2], char *text, size_t size)
{
    for (; (*pairs)[0]; pairs++) {
        if (rd_kafka_conf_set(c, (*pairs)[0], (*pairs)[1], text, size)) {
            return false;
        }
    }
    return true;
}

rd_kafka_t *kafka_consumer_new(const rd_kafka_conf_t *template, const char *const (*more)[2],
                               char *text, size_t size)
{
    static const char *const pairs[][2] = {{"isolation.level", "read_committed"},
                                           {"enable.partition.eof", "true"},
                                           {"auto.offset.reset", "earliest"},
                                           {"fetch.wait.max.ms", "50"},
                                           {"fetch.error.backoff.ms", "50"},
                                           {"enable.auto.commit", "false"},
                                           {"log_level", "0"},
                                           {NULL, NULL}};
    rd_kafka_conf_t *c = rd_kafka_conf_dup(template);
    rd_kafka_t *rk = set_all(c, pairs, text, size) && (!more || set_all(c, more, text, size))
                         ? rd_kafka_new(RD_KAFKA_CONSUMER, c, text, size)
                         : NULL;
    if (!rk) {
        rd_kafka_conf_destroy(c);
    }
    return rk;
}
