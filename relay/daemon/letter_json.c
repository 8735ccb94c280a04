/* Names and sequence of the members are what programs read: members are added, never changed. */
#include "daemon/letter_json.h"

#include "daemon/json_value.h"

static json_t *headers_json(struct slice headers)
{
    json_t *j =
        slice_is_null(headers) ? NULL : json_loadb(headers.ptr, headers.len, JSON_DECODE_ANY, NULL);
    return j ? j : json_text(headers);
}

/* Only what was edited; the members beside it are the original. */
static json_t *edit_json(const struct store_letter_edit *e)
{
    json_t *j = json_object();
    if (e->fields & STORE_LETTER_TOPIC) {
        json_object_set_new(j, "topic", json_text(e->topic));
    }
    if (e->fields & STORE_LETTER_KEY) {
        json_set_bytes(j, "key", e->key);
    }
    if (e->fields & STORE_LETTER_HEADERS) {
        json_object_set_new(j, "headers", headers_json(e->headers));
    }
    if (e->fields & STORE_LETTER_PAYLOAD) {
        json_set_bytes(j, "payload", e->payload);
    }
    return j;
}

json_t *letter_json(const struct store_dead_letter *d, bool full)
{
    json_t *j = json_object();
    json_object_set_new(j, "id", json_integer(d->id));
    json_object_set_new(j, "event_id", json_text(d->event_id));
    json_object_set_new(j, "position", json_text(d->position));
    json_object_set_new(j, "topic", json_text(d->topic));
    json_set_bytes(j, "key", d->key);
    json_object_set_new(j, "attempts", json_integer(d->attempts));
    json_object_set_new(j, "reason", json_text(d->reason));
    json_object_set_new(j, "code", json_text(d->code));
    json_object_set_new(j, "first_failed_at", json_time(d->first_failed_us));
    json_object_set_new(j, "last_failed_at", json_time(d->last_failed_us));
    json_object_set_new(j, "state", json_string(d->state));
    json_object_set_new(j, "type", json_text(d->type));
    json_object_set_new(j, "closed_at", json_time(d->closed_us));
    json_object_set_new(j, "edits", json_integer(d->edits));
    json_object_set_new(j, "waiting", json_integer(d->waiting));
    if (full) {
        json_object_set_new(j, "headers", headers_json(d->headers));
        json_set_bytes(j, "payload", d->payload);
        json_object_set_new(j, "payload_kind", json_text(d->payload_kind));
        json_object_set_new(j, "aggregatetype", json_text(d->aggregatetype));
        json_object_set_new(j, "aggregateid", json_text(d->aggregateid));
        json_object_set_new(j, "created_at", json_text(d->created_at));
        json_object_set_new(j, "edited", d->edit.fields ? edit_json(&d->edit) : json_null());
    }
    return j;
}
