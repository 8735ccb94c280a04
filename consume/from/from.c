/* The list of sources. Kafka's is left out of a build without the sink kafka. */
#include "consume/from/from.h"

extern const struct from_ops from_file;
#ifdef CONSUME_KAFKA
extern const struct from_ops from_kafka;
#endif

static const struct from_ops *const all[] = {
#ifdef CONSUME_KAFKA
    &from_kafka,
#endif
    &from_file, NULL};

const struct from_ops *const *from_all(void)
{
    return all;
}

const struct from_ops *from_named(const char *name)
{
    for (size_t i = 0; all[i]; i++) {
        if (strcmp(all[i]->name, name) == 0) {
            return all[i];
        }
    }
    return NULL;
}

const struct conf_plugin *from_conf(void)
{
    static struct conf_plugin table[sizeof all / sizeof all[0]];
    for (size_t i = 0; all[i]; i++) {
        table[i] =
            (struct conf_plugin){all[i]->name, all[i]->help, all[i]->keys, all[i]->conf_size};
    }
    return table;
}
