/*
 * The fields of an event by name, as configuration and output know them. The one list of these
 * names. Pure.
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
    FIELD_OWN_COUNT, /* those above may be headers, and placeholders of a route */
    FIELD_TOPIC = FIELD_OWN_COUNT,
    FIELD_KEY,
    FIELD_HEADERS,
    FIELD_PAYLOAD,
    FIELD_UNKNOWN /* how many there are, and no field */
};

/* The names of the first FIELD_OWN_COUNT, in that order; ended by NULL. */
extern const char *const event_own_fields[FIELD_OWN_COUNT + 1];

/* FIELD_UNKNOWN if no field has this name. */
enum event_field event_field_from(const char *name);

/* The field's value; null where the event has none. That of created_at may be text in `time`, all
 * others point into the event. */
struct slice event_field(const struct event *e, enum event_field field,
                         char time[CLOCK_RFC3339_SIZE]);

/* The same for a value that has to live as long as the event. */
struct slice event_field_kept(const struct event *e, enum event_field field, struct arena *arena);

/* That of one of event_own_fields, found by the length of its name alone: they all differ. For
 * encode, which would otherwise compare names for every header of every event. */
struct slice event_own_field(const struct event *e, size_t name_len, struct arena *arena);

/* created_at as RFC 3339 with microseconds in UTC, or the source's own text where no clock can hold
 * it; null if none. */
struct slice event_created_at(const struct event *e, char time[CLOCK_RFC3339_SIZE]);
