/*
 * The consumers of the process, by name, beside the fleet of pipelines. If one fails, the others go
 * on. Main thread only.
 */
#pragma once

#include "base/buf.h"
#include "daemon/instance.h"
#include <jansson.h>

struct crew;

/* end_fd: an eventfd, to which every consumer's thread writes when it ends. Freed with crew_free,
 * before which all must have ended. */
struct crew *crew_new(int end_fd);
void crew_free(struct crew *c); /* NULL is fine */

/* Makes a consumer of each that is new or changed in the configuration, and starts nothing. The
 * answer of a mistake is CONFIG, and nothing has changed. crew_adopt then starts the new ones, and
 * stops those that are changed or not named any more; `g` is kept as long as it is needed. */
int crew_stage(struct crew *c, struct generation *g, struct error *err) MUST_CHECK;
void crew_adopt(struct crew *c, struct generation *g);
/* Forgets what crew_stage has made. */
void crew_unstage(struct crew *c);

void crew_reap(struct crew *c); /* when end_fd was readable */
void crew_stop(struct crew *c); /* asks all to stop, for good */
/* From now on each ends once it has applied all that is there; also those that are made later. */
void crew_finish(struct crew *c);
bool crew_ended(const struct crew *c);
int crew_exit_code(const struct crew *c); /* of the one that failed first; 0: none */

/* What /status says of them: a list of objects with name, state, detail (null: none) and what each
 * has done since its start. The caller's. */
json_t *crew_json(struct crew *c);
/* Appends the samples of all consumers in Prometheus' format. */
void crew_metrics(struct crew *c, struct buf *out);
