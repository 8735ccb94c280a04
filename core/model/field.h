/*
 * The fields of an event by name, such as "aggregateid". Configuration and messages use the same
 * names, and this is the only list of them.
 *
 * Any thread that may read the event. Results are borrowed from the event, or lie in the memory
 * that the caller gives. Nothing fails.
 */
#pragma once

#include "model/event.h"

enum event_field {
    FIELD_ID,
    FIELD_TYPE,
    FIELD_CREATED_AT,
    FIELD_AGGREGATETYPE,
    FIELD_AGGREGATEID,
    FIELD_POSITION,
    FIELD_OWN_COUNT, /* those above may be message headers, and placeholders of a route */
    FIELD_TOPIC = FIELD_OWN_COUNT,
    FIELD_KEY,
    FIELD_HEADERS,
    FIELD_PAYLOAD,
    FIELD_UNKNOWN /* no field; also how many there are */
};

/* The names of the first FIELD_OWN_COUNT fields, in the order of the enum; a NULL ends them. */
extern const char *const event_own_fields[FIELD_OWN_COUNT + 1];

/* The field of this name, FIELD_UNKNOWN if there is none. */
enum event_field event_field_from(const char *name);

/* The field's value; null where the event has none. That of created_at may be written into `time`,
 * and is valid as long as that is; all others point into the event. */
struct slice event_field(const struct event *e, enum event_field field,
                         char time[CLOCK_RFC3339_SIZE]);

/* The same, but what would lie in `time` is copied into `arena`. For a value that has to live as
 * long as the event: give the arena of its batch. */
struct slice event_field_kept(const struct event *e, enum event_field field, struct arena *arena);

/* The value of one of event_own_fields, as event_field_kept, found by the length of its name: no
 * two of them have the same length. For encode, which would otherwise compare names for every
 * header of every event. Null if no name has this length. */
struct slice event_own_field(const struct event *e, size_t name_len, struct arena *arena);

/* created_at as RFC 3339 with microseconds in UTC, written into `time`; or the text of the source,
 * borrowed, for a time that cannot be written so, such as infinity. Null if the event has none. */
struct slice event_created_at(const struct event *e, char time[CLOCK_RFC3339_SIZE]);
