#include "daemon/orders.h"

#include <string.h>

static enum store_command command_of(const char *word)
{
    static const struct {
        const char *word;
        enum store_command command;
    } words[] = {
        {"pause", STORE_PAUSE}, {"resume", STORE_RESUME}, {"set_position", STORE_SET_POSITION},
        {"retry", STORE_RETRY}, {"drop", STORE_DROP},     {"snapshot", STORE_SNAPSHOT}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(word, words[i].word) == 0) {
            return words[i].command;
        }
    }
    return STORE_NO_COMMAND;
}

int orders_give(struct fleet *fleet, const struct admin_order *o, struct buf *body)
{
    enum { TAKEN = 202, BAD = 400, GONE = 404, BUSY = 409 };
    int64_t id;
    enum store_command command = command_of(o->command);
    if (command == STORE_NO_COMMAND || strlen(o->argument) >= STORE_ARGUMENT_SIZE) {
        buf_add_str(body, "{\"error\": \"no such command, or too long an argument\"}\n");
        return BAD;
    }
    switch (fleet_order(fleet, o->pipeline, command, o->argument, o->who, &id)) {
    case INSTANCE_TAKEN:
        buf_printf(body, "{\"id\": %lld}\n", (long long)id);
        return TAKEN;
    case INSTANCE_BUSY:
        buf_add_str(body, "{\"error\": \"an order before this one is not obeyed yet\"}\n");
        return BUSY;
    case INSTANCE_GONE:
        break;
    }
    buf_add_str(body,
                "{\"error\": \"no such pipeline runs, or it is divided into shards, which take "
                "orders from the command line only\"}\n");
    return GONE;
}
