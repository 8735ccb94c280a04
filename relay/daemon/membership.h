/*
 * The process's membership in a pipeline that is divided into shards (contract/shards.h), with a
 * count of the instances that use it: one for each shard. A reload that changes the pipeline makes
 * a new one; the old one lives until its instances have ended.
 *
 * Main thread only.
 */
#pragma once

#include "base/error.h"
#include "config/config.h"

struct membership;
struct store_member;

/* How many shards the pipeline has; 1: it is not divided. */
int membership_shards(const struct conf_pipeline *p);

/* *ret: NULL if the pipeline is not divided. No I/O. The caller has one reference. CONFIG if its
 * store cannot divide it. */
int membership_new(const struct config *c, const struct conf_pipeline *p, struct membership **ret,
                   struct error *err) MUST_CHECK;
struct membership *membership_ref(struct membership *m); /* NULL gives NULL */
void membership_unref(struct membership *m);             /* may wait; NULL is fine */

struct store_member *membership_of_store(const struct membership *m); /* NULL gives NULL */
