/* Reads Confluent's answers: {"id": 7}, {"id": 7, "schema": "..."}, and of errors
 * {"error_code": 409, "message": "..."}. */
#include "schemas/answer.h"

#include "message/encode.h"
#include "value/json.h"
#include <stdlib.h>

enum { SHOWN_MAX = 600 }; /* bytes of the registry's text in an error */

void answer_request(struct buf *out, struct slice schema, bool json_schema)
{
    buf_add_str(out, json_schema ? "{\"schemaType\":\"JSON\",\"schema\":" : "{\"schema\":");
    (void)encode_json_string(out, schema); /* it was made of texts that are UTF-8 */
    buf_add_char(out, '}');
}

/* A string member, decoded. False: there is none. */
static bool add_member(struct buf *out, struct slice body, const char *name)
{
    struct json_member m;
    size_t len;
    if (!json_find(body, name, &m) || m.type != JSON_IS_STRING) {
        return false;
    }
    buf_reserve(out, m.value.len);
    if (!json_unescape(m.value, out->data + out->len, &len)) {
        return false;
    }
    out->len += len;
    out->data[out->len] = '\0';
    return true;
}

/* The registry's own words; the start of its answer where it is no JSON. */
static void add_words(struct buf *out, const struct answer *a)
{
    if (!add_member(out, a->body, "message")) {
        buf_add_slice(out, a->body);
    }
    if (out->len > SHOWN_MAX) {
        buf_truncate(out, SHOWN_MAX);
    }
}

static int refused(const struct answer *a, struct error *err)
{
    CLEANUP(buf_release) struct buf words = {0};
    add_words(&words, a);
    const char *said = buf_str(&words);
    switch (a->status) {
    case 408:
    case 429:
        break;
    case 401:
    case 403:
        return error_set(
            err, ERROR_CONFIG, "registry",
            "the schema registry %s does not let us in (%ld): check encode.registry.username and its right to register %s: %s",
            a->url, a->status, a->subject, said);
    case 404:
        return error_set(
            err, ERROR_CONFIG, "registry",
            "the schema registry %s does not know %s (404): nothing was registered there yet, or encode.registry.url lacks its path (Apicurio: /apis/ccompat/v7): %s",
            a->url, a->subject, said);
    case 409:
        return error_set(
            err, ERROR_CONFIG, "registry",
            "the new schema of %s is not compatible with the one before, says the schema registry (409): %s; change the table so that it is (a new column nullable or with a default), or lower the compatibility of the subject",
            a->subject, said);
    default:
        if (a->status < 500) {
            return error_set(err, ERROR_CONFIG, "registry",
                             "the schema registry %s refuses the schema of %s (%ld): %s", a->url,
                             a->subject, a->status, said);
        }
        break;
    }
    return error_set(err, ERROR_BUSY, "registry",
                     "the schema registry %s cannot answer now (%ld); events wait for it: %s",
                     a->url, a->status, said);
}

int answer_judge(const struct answer *a, struct error *err)
{
    return a->status < 200 || a->status > 299 ? refused(a, err) : RESULT_DONE;
}

static bool read_id(struct slice body, uint32_t *ret)
{
    struct json_member m;
    char text[16], *end;
    if (!json_find(body, "id", &m) || m.type != JSON_IS_NUMBER || m.value.len >= sizeof text) {
        return false;
    }
    memcpy(text, m.value.ptr, m.value.len);
    text[m.value.len] = '\0';
    long long id = strtoll(text, &end, 10);
    if (*end || id < 0 || id > INT32_MAX) {
        return false;
    }
    *ret = (uint32_t)id;
    return true;
}

int answer_read(const struct answer *a, uint32_t *ret_id, struct buf *ret_schema, struct error *err)
{
    uint32_t id;
    if (answer_judge(a, err)) {
        return RESULT_ERROR;
    }
    if (!read_id(a->body, &id) || (ret_schema && !add_member(ret_schema, a->body, "schema"))) {
        return error_set(
            err, ERROR_CONFIG, "registry",
            "%s does not answer as a schema registry does; check encode.registry.url and its path (Apicurio: /apis/ccompat/v7)",
            a->url);
    }
    *ret_id = id;
    return RESULT_DONE;
}
