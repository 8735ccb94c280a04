/*
 * With encode.value avro or json_schema: the schemas of a pipeline's messages, and the client that
 * asks the registry for their numbers (schemas/client.h says how they play together). With
 * encode.schemas: the schemas that stand in the messages. Private to relay/pipeline; the pipeline's
 * thread only. All functions do nothing for a pipeline without schemas.
 */
#pragma once

#include "base/error.h"
#include "base/poll_set.h"
#include "model/event.h"

struct pipeline;

struct framing {
    struct schema_book *book;      /* NULL: messages have no schemas */
    struct schemas_client *client; /* NULL: none is asked for */
};

/* ERROR: RETRY, no thread or descriptor is left. framing_close is needed after an error, too. */
int framing_open(struct pipeline *p, struct error *err) MUST_CHECK;
void framing_close(struct pipeline *p);

/* With encode.schemas: puts the schemas into key and payload of an encoded change. ERROR: POISON.
 */
int framing_embed(struct pipeline *p, struct batch *b, struct event *e,
                  struct error *err) MUST_CHECK;

/* Notes which schemas an event has, while its change is there. ERROR: POISON. */
int framing_of_change(struct pipeline *p, struct event *e, struct error *err) MUST_CHECK;

/* Frames key and value of an encoded event. One whose schemas are not known yet stays `unframed`,
 * which is no error. ERROR: POISON. */
int framing_apply(struct pipeline *p, struct batch *b, struct event *e,
                  struct error *err) MUST_CHECK;

/* Takes the registry's answer and asks for what is wanted next. */
void framing_tend(struct pipeline *p);

/* An unframed event is the next to be put. DONE: it waits for an answer under way. ERROR: asking
 * has failed: BUSY, the registry is away; CONFIG, it refuses. Then it is asked again. */
int framing_wait(struct pipeline *p, struct error *err) MUST_CHECK;

void framing_poll(const struct pipeline *p, struct poll_set *set);
