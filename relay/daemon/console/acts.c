/* An act is an order like that of a command (orders.h): the pipeline obeys it, answers it, and
 * notes it in the audit log. */
#include "daemon/console/acts.h"

#include "daemon/console/answer.h"
#include "daemon/orders.h"
#include <jansson.h>

enum { BAD = 400 };

static const char *const commands[] = {[ROUTE_PAUSE] = "pause",
                                       [ROUTE_RESUME] = "resume",
                                       [ROUTE_POSITION] = "set_position",
                                       [ROUTE_RETRY] = "retry",
                                       [ROUTE_DROP] = "drop"};

static bool add_ids(const json_t *ids, struct buf *argument, const char **ret_why)
{
    size_t n = json_array_size(ids);
    *ret_why = "the body has to be {\"ids\": [1, 2]}, with 1 to 20 numbers of dead letters";
    if (n == 0 || n > ACTS_IDS_MAX) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *id = json_array_get(ids, i);
        if (!json_is_integer(id) || json_integer_value(id) <= 0) {
            return false;
        }
        buf_printf(argument, "%s%lld", i > 0 ? "," : "", (long long)json_integer_value(id));
    }
    return true;
}

static bool add_position(const json_t *to, struct buf *argument, const char **ret_why)
{
    const char *text = json_string_value(to);
    *ret_why = "the body has to be {\"to\": \"beginning\" | \"now\" | a position | \"time ...\"}";
    if (!text || !*text) {
        return false;
    }
    buf_add_str(argument, text);
    return true;
}

bool acts_argument(const struct console_route *route, struct slice body, struct buf *argument,
                   const char **ret_why)
{
    if (route->what == ROUTE_PAUSE || route->what == ROUTE_RESUME) {
        return true;
    }
    json_t *j = json_loadb(body.len > 0 ? body.ptr : "", body.len, JSON_REJECT_DUPLICATES, NULL);
    bool good = route->what == ROUTE_POSITION
                    ? add_position(json_object_get(j, "to"), argument, ret_why)
                    : add_ids(json_object_get(j, "ids"), argument, ret_why);
    json_decref(j);
    return good;
}

int acts_order(struct fleet *fleet, const struct console_route *route, struct slice body,
               const char *who, struct buf *out)
{
    CLEANUP(buf_release) struct buf argument = {0};
    const char *why;
    if (!acts_argument(route, body, &argument, &why)) {
        return answer_error(out, BAD, why);
    }
    const struct admin_order order = {route->pipeline, commands[route->what], buf_str(&argument),
                                      who};
    return orders_give(fleet, &order, out);
}
