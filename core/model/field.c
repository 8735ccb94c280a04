/* The table of field names, and the value of each field of an event. */
#include "model/field.h"

/* In the order of enum event_field. */
/* clang-format off */
#define OWN_FIELDS(X) \
    X("id", FIELD_ID) X("type", FIELD_TYPE) X("created_at", FIELD_CREATED_AT) \
    X("aggregatetype", FIELD_AGGREGATETYPE) X("aggregateid", FIELD_AGGREGATEID) \
    X("position", FIELD_POSITION)
/* clang-format on */
#define WORD(text, field) text,

const char *const event_own_fields[FIELD_OWN_COUNT + 1] = {OWN_FIELDS(WORD) NULL};

static const char *const names[FIELD_UNKNOWN] = {OWN_FIELDS(WORD) "topic", "key", "headers",
                                                 "payload"};

/* The first microseconds of the years 0 and 10000: RFC 3339 can write what lies between. */
static const int64_t year_0_us = INT64_C(-62167219200) * US_PER_SECOND;
static const int64_t year_10000_us = INT64_C(253402300800) * US_PER_SECOND;

enum event_field event_field_from(const char *name)
{
    int i = 0;
    while (i < FIELD_UNKNOWN && strcmp(name, names[i]) != 0) {
        i++;
    }
    return (enum event_field)i;
}

struct slice event_created_at(const struct event *e, char time[CLOCK_RFC3339_SIZE])
{
    bool writable = e->created_at_us >= year_0_us && e->created_at_us < year_10000_us;
    if (e->created_at_us == TIME_NONE || (!writable && !slice_is_null(e->created_at))) {
        return e->created_at;
    }
    clock_format_rfc3339(e->created_at_us, time);
    return slice_from(time);
}

struct slice event_field(const struct event *e, enum event_field field,
                         char time[CLOCK_RFC3339_SIZE])
{
    switch (field) {
    case FIELD_ID:
        return e->id;
    case FIELD_TYPE:
        return e->type;
    case FIELD_CREATED_AT:
        return event_created_at(e, time);
    case FIELD_AGGREGATETYPE:
        return e->aggregatetype;
    case FIELD_AGGREGATEID:
        return e->aggregateid;
    case FIELD_POSITION:
        return e->position;
    case FIELD_TOPIC:
        return e->topic;
    case FIELD_KEY:
        return e->key;
    case FIELD_HEADERS:
        return e->headers;
    case FIELD_PAYLOAD:
        return e->payload;
    case FIELD_UNKNOWN:
        break;
    }
    return SLICE_NULL;
}

struct slice event_field_kept(const struct event *e, enum event_field field, struct arena *arena)
{
    char time[CLOCK_RFC3339_SIZE];
    struct slice s = event_field(e, field, time);
    return s.ptr == time ? arena_copy(arena, s) : s;
}

struct slice event_own_field(const struct event *e, size_t name_len, struct arena *arena)
{
#define OF_LENGTH(text, field) \
    case sizeof text - 1:      \
        return event_field_kept(e, field, arena);
    /* Two names of the same length would be the same case twice, which does not compile. */
    switch (name_len) {
        OWN_FIELDS(OF_LENGTH)
    default:
        return SLICE_NULL;
    }
}
