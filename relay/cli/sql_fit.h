/*
 * What a table lacks for the pipeline that reads it: the columns and indexes of its mode, under the
 * names that the pipeline maps. The SQL may be run again, and changes nothing that is there. Pure.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "source/outbox_postgres.h"

/* One transaction for psql. A table that is missing is made only where no column is mapped to
 * another name. CONFIG for a name that cannot be one. */
int sql_fit(struct buf *out, const struct outbox_pg_conf *conf, struct error *err) MUST_CHECK;
