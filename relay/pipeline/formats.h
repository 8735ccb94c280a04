/*
 * What the configuration says about an event's way out, as route and encode want it. Pure.
 */
#pragma once

#include "config/config.h"
#include "message/encode.h"
#include "message/mask/mask.h"
#include "message/route.h"

/* Both borrow from `p`. `changes`: the source gives table changes (SOURCE_CHANGES). A route is made
 * by formats_route_new, which also knows the columns that become headers. */
struct route_conf formats_route(const struct conf_pipeline *p, bool changes);
struct encode_conf formats_encode(const struct conf_pipeline *p);
int formats_route_new(const struct conf_pipeline *p, bool changes, struct route **ret,
                      struct error *err) MUST_CHECK;

/* The pipeline's mask; NULL without rules, else freed with mask_free. CONFIG also if a topic, a key
 * or a header is made of a column that the mask covers, for it would be shown there. */
int formats_mask_new(const struct conf_pipeline *p, bool changes, const struct route *r,
                     struct mask **ret, struct error *err) MUST_CHECK;

/* Columns and texts of encode.headers into the event's headers; behind encode_change. `r` NULL: the
 * columns' are there already (a dead letter has them). POISON. */
int formats_add_headers(const struct conf_pipeline *p, const struct route *r, struct event *e,
                        struct arena *arena, struct error *err) MUST_CHECK;

/* CONFIG for a format that cannot say what the source gives, or that the sink has no place for, and
 * for keys about changes where there are none. */
int formats_check(const struct conf_pipeline *p, bool changes, bool messages,
                  struct error *err) MUST_CHECK;
