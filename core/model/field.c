/* A field has one name, wherever a file or a message shows it. */
#include "model/field.h"

/* In the order of enum event_field. */
#define OWN_FIELDS(X) \
    X("id") X("type") X("created_at") X("aggregatetype") X("aggregateid") X("position")
#define FURTHER_FIELDS(X) X("topic") X("key") X("headers") X("payload")

#define WORD(text) text,
#define SLICE(text) {text, sizeof text - 1},

const char *const event_own_fields[FIELD_OWN_COUNT + 1] = {OWN_FIELDS(WORD) NULL};

/* With their lengths, because encode looks a header's name up for each event. */
static const struct slice names[FIELD_UNKNOWN] = {OWN_FIELDS(SLICE) FURTHER_FIELDS(SLICE)};

/* The years that RFC 3339 can write. */
static const int64_t year_0_us = INT64_C(-62167219200) * US_PER_SECOND;
static const int64_t year_10000_us = INT64_C(253402300800) * US_PER_SECOND;

enum event_field event_field_from(struct slice name)
{
    int i = 0;
    while (i < FIELD_UNKNOWN && !slice_equal(name, names[i])) {
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
