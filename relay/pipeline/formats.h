/*
 * Translates the configuration of a pipeline into what route (message/route.h) and encode
 * (message/encode.h) need, and checks that the chosen format fits the source and the sink.
 *
 * No I/O; any thread may call these. Memory running out aborts the process.
 */
#pragma once

#include "config/config.h"
#include "message/column_rules.h"
#include "message/encode.h"
#include "message/mask/mask.h"
#include "message/route.h"
#include "schemas/client.h"

/* The settings of route and of encode as plain values. They point into `p`, which must outlive
 * them. `changes`: the source gives table changes (SOURCE_CHANGES) instead of outbox events. To
 * make a route use formats_route_new: formats_route leaves out the columns that become headers. */
struct route_conf formats_route(const struct conf_pipeline *p, bool changes);
struct encode_conf formats_encode(const struct conf_pipeline *p);

/* The schema registry, as the client wants it. Only if encode.value is not json. */
struct schemas_conf formats_registry(const struct conf_pipeline *p);

/* Makes the route of a pipeline, with the columns that become headers. DONE: *ret is the caller's,
 * freed with route_free. ERROR: CONFIG, *ret is untouched. */
int formats_route_new(const struct conf_pipeline *p, bool changes, struct route **ret,
                      struct error *err) MUST_CHECK;

/* The pipeline's mask; NULL without rules, else freed with mask_free. CONFIG also if a topic, a key
 * or a header is made of a column that the mask covers, for it would be shown there. */
int formats_mask_new(const struct conf_pipeline *p, bool changes, const struct route *r,
                     struct mask **ret, struct error *err) MUST_CHECK;

/* What the pipeline's tables show of their columns; NULL without rules, else freed with
 * column_rules_free. It points into `p`. CONFIG: a rule is none. */
int formats_columns_new(const struct conf_pipeline *p, bool changes, struct column_rules **ret,
                        struct error *err) MUST_CHECK;

/* Adds to the event the headers that encode.headers configures (columns of the row, or fixed
 * texts), and to its payload the columns of encode.envelope. For a table change call it after
 * encode_change, which makes the event's headers. Memory comes from `arena`. `r` NULL: what comes
 * of columns is there already (a dead letter has it). ERROR: POISON. */
int formats_add_columns(const struct conf_pipeline *p, const struct route *r, struct event *e,
                        struct arena *arena, struct error *err) MUST_CHECK;

/* ERROR, with CONFIG, if the format cannot express what the source gives, if it makes messages and
 * the sink takes none (`caps`: its SINK_...), if a configured header has a name that may not be
 * used, or if an encode key is set that only table changes use although the source gives outbox
 * events. */
int formats_check(const struct conf_pipeline *p, bool changes, unsigned caps,
                  struct error *err) MUST_CHECK;
