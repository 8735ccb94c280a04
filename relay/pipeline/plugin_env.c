/* Fills the environments of source and sink. The relay and the commands that only look share this
 * code: if a command opened a plugin in another way, it could show something that the relay does
 * not see. */
#include "pipeline/plugin_env.h"

void plugin_env_source(struct source_env *ret, const struct conf_pipeline *p,
                       const struct encode_conf *encode, const struct route *route,
                       const struct mask *mask, struct column_rules *columns,
                       const struct store_ops *store)
{
    *ret = (struct source_env){.pipeline = p->name,
                               .ordered = p->delivery.ordered,
                               .attempts = p->delivery.attempts,
                               .max_event_bytes = (size_t)p->delivery.max_event_bytes,
                               .stop_fd = -1};
    if (store) {
        ret->store = (struct source_store){.positions = store->positions,
                                           .dead_letters = store->dead_letters,
                                           .part = STORE_WHOLE};
    }
    encode_shape(encode, &ret->shape);
    ret->shape.mask = mask;
    ret->shape.columns = columns;
    ret->columns_count = route_columns(route, &ret->columns);
    ret->json_count = route_json_count(route);
    ret->encode = encode;
}

void plugin_env_sink(struct sink_env *ret, const struct conf_pipeline *p, const struct route *route)
{
    *ret = (struct sink_env){.pipeline = p->name,
                             .fixed_topic = route_fixed_topic(route),
                             .max_in_flight = (size_t)p->delivery.max_in_flight,
                             .max_in_flight_bytes = (size_t)p->delivery.max_in_flight_bytes,
                             .at_most_once = p->delivery.at_most_once,
                             .holds_keys = p->delivery.poison != CONF_POISON_SKIP,
                             .stop_fd = -1};
}
