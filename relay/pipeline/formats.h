/*
 * What the configuration says about an event's way out, as route and encode want it. Pure.
 */
#pragma once

#include "config/config.h"
#include "model/encode.h"
#include "model/route.h"

/* Both borrow from `p`. `changes`: the source gives table changes (SOURCE_CHANGES). */
struct route_conf formats_route(const struct conf_pipeline *p, bool changes);
struct encode_conf formats_encode(const struct conf_pipeline *p);

/* CONFIG for a format that cannot say what the source gives, or that the sink has no place for, and
 * for keys about changes where there are none. */
int formats_check(const struct conf_pipeline *p, bool changes, bool messages,
                  struct error *err) MUST_CHECK;
