/* Reads signals, and changes the list of requested snapshots as they say. */
#include "cdc/signal.h"

#include "base/memory.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { ID_MAX = 100, TABLES_MAX = 500 };

static const char *const type_names[] = {[SIGNAL_EXECUTE] = "execute-snapshot",
                                         [SIGNAL_STOP] = "stop-snapshot",
                                         [SIGNAL_PAUSE] = "pause-snapshot",
                                         [SIGNAL_RESUME] = "resume-snapshot"};
enum { TYPES = sizeof type_names / sizeof *type_names };

void signal_release(struct signal *s)
{
    buf_release(&s->id);
    buf_release(&s->wanted);
    s->wanted_count = 0;
}

static void release_json(json_t **j)
{
    json_decref(*j);
}

/* --- reading --- */

static int wrong(const struct signal *s, const char *what, struct error *err)
{
    return error_set(err, ERROR_CONFIG, "cdc", "signal %s (%s) is not obeyed: %s", buf_str(&s->id),
                     type_names[s->type], what);
}

/* The filter of this data-collection; NULL: none. */
static const char *filter_of(const json_t *conditions, const char *tables)
{
    size_t i;
    json_t *c;
    json_array_foreach(conditions, i, c)
    {
        const char *of = json_string_value(json_object_get(c, "data-collection"));
        if (of && strcmp(of, tables) == 0) {
            return json_string_value(json_object_get(c, "filter"));
        }
    }
    return NULL;
}

static bool is_listed(const json_t *collections, const char *tables)
{
    size_t i;
    json_t *c;
    json_array_foreach(collections, i, c)
    {
        const char *text = json_string_value(c);
        if (text && strcmp(text, tables) == 0) {
            return true;
        }
    }
    return false;
}

/* A condition that belongs to nothing would be ignored, and all rows would be read. */
static int check_conditions(const struct signal *s, const json_t *conditions,
                            const json_t *collections, struct error *err)
{
    size_t i;
    json_t *c;
    if (conditions && !json_is_array(conditions)) {
        return wrong(s, "additional-conditions is no list", err);
    }
    json_array_foreach(conditions, i, c)
    {
        const char *of = json_string_value(json_object_get(c, "data-collection"));
        if (!of || !json_is_string(json_object_get(c, "filter"))) {
            return wrong(s, "an additional condition has the texts data-collection and filter",
                         err);
        }
        if (!is_listed(collections, of)) {
            return wrong(s,
                         "the data-collection of an additional condition is not among "
                         "data-collections, where it has to stand in the same words",
                         err);
        }
    }
    return RESULT_DONE;
}

static int take_collections(struct signal *s, const json_t *data, struct error *err)
{
    const json_t *collections = json_object_get(data, "data-collections");
    const json_t *conditions = json_object_get(data, "additional-conditions");
    size_t i;
    json_t *c;
    if (collections && !json_is_array(collections)) {
        return wrong(s, "data-collections is no list of tables", err);
    }
    if (check_conditions(s, conditions, collections, err)) {
        return RESULT_ERROR;
    }
    json_array_foreach(collections, i, c)
    {
        const char *tables = json_string_value(c);
        if (!tables || !tables[0] || strlen(tables) > TABLES_MAX) {
            return wrong(s, "a data-collection is a text such as public.orders", err);
        }
        const char *where = filter_of(conditions, tables);
        buf_add(&s->wanted, tables, strlen(tables) + 1);
        where = where ? where : "";
        buf_add(&s->wanted, where, strlen(where) + 1);
        s->wanted_count++;
    }
    return RESULT_DONE;
}

static int take_data(struct signal *s, const json_t *data, struct error *err)
{
    const char *kind = json_string_value(json_object_get(data, "type"));
    if (s->type == SIGNAL_PAUSE || s->type == SIGNAL_RESUME) {
        return RESULT_DONE;
    }
    if (kind && strcasecmp(kind, "incremental") != 0) {
        return wrong(s, "its type has to be incremental: no other snapshot can be asked for", err);
    }
    if (json_object_get(data, "additional-condition") || json_object_get(data, "surrogate-key")) {
        return wrong(s,
                     "additional-condition and surrogate-key are not known: give "
                     "additional-conditions, each with its data-collection and filter",
                     err);
    }
    if (take_collections(s, data, err)) {
        return RESULT_ERROR;
    }
    return s->type == SIGNAL_EXECUTE && s->wanted_count == 0
               ? wrong(s, "its data names no table: {\"data-collections\": [\"public.orders\"]}",
                       err)
               : RESULT_DONE;
}

/* Does `type` name one? Sets s->type. */
static bool find_type(struct slice type, struct signal *s)
{
    for (size_t i = 0; i < TYPES; i++) {
        if (slice_equal_str(type, type_names[i])) {
            s->type = (enum signal_type)i;
            return true;
        }
    }
    return false;
}

static int read_parts(struct slice id, struct slice type, const json_t *data, struct signal *ret,
                      struct error *err)
{
    if (!find_type(type, ret)) {
        return RESULT_AGAIN;
    }
    buf_add(&ret->id, id.ptr, id.len < ID_MAX ? id.len : ID_MAX);
    return take_data(ret, data, err);
}

int signal_read(struct slice id, struct slice type, struct slice data, struct signal *ret,
                struct error *err)
{
    CLEANUP(release_json)
    json_t *j = data.len > 0 ? json_loadb(data.ptr, data.len, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (find_type(type, ret) && data.len > 0 && !json_is_object(j)) {
        buf_add(&ret->id, id.ptr, id.len < ID_MAX ? id.len : ID_MAX);
        return wrong(ret, "its data is no JSON object", err);
    }
    return read_parts(id, type, j, ret, err);
}

int signal_read_order(const char *order, struct signal *ret, int64_t *ret_asked_us,
                      struct error *err)
{
    CLEANUP(release_json)
    json_t *j = json_loads(order, JSON_REJECT_DUPLICATES, NULL);
    const char *id = json_string_value(json_object_get(j, "id"));
    const char *type = json_string_value(json_object_get(j, "type"));
    int rc = id && type ? read_parts(slice_from(id), slice_from(type), json_object_get(j, "data"),
                                     ret, err)
                        : RESULT_AGAIN;
    *ret_asked_us = json_integer_value(json_object_get(j, "asked_us"));
    return rc == RESULT_AGAIN ? error_set(err, ERROR_CONFIG, "cdc",
                                          "this version does not know what the order asks for")
                              : rc;
}

/* --- writing --- */

static json_t *data_of(const char *tables, const char *where)
{
    json_t *data = json_object();
    if (tables) {
        json_object_set_new(data, "data-collections", json_pack("[s]", tables));
    }
    if (tables && where[0]) {
        json_object_set_new(data, "additional-conditions",
                            json_pack("[{s:s, s:s}]", "data-collection", tables, "filter", where));
    }
    return data;
}

void signal_write(const char *id, enum signal_type type, const char *tables, const char *where,
                  int64_t asked_us, struct buf *out)
{
    json_t *j = json_pack("{s:s, s:s, s:I, s:o}", "id", id, "type", type_names[type], "asked_us",
                          (json_int_t)asked_us, "data", data_of(tables, where));
    char *text = memory_need(json_dumps(j, JSON_COMPACT));
    buf_add_str(out, text);
    free(text);
    json_decref(j);
}

/* --- obeying --- */

struct obeying {
    const struct signal *signal;
    struct snapshot_requests *list;
    uint64_t *lsn;
    int64_t asked_us;
    void (*say)(void *ctx, bool wrong, const char *text);
    void *ctx;
};

static void tell(const struct obeying *o, bool is_wrong, const char *what, const char *tables)
{
    char text[TABLES_MAX + 200];
    snprintf(text, sizeof text, "%s%s (signal %s)", what, tables, buf_str(&o->signal->id));
    o->say(o->ctx, is_wrong, text);
}

static void execute(const struct obeying *o, const char *tables, const char *where)
{
    bool room = snapshot_requests_add(o->list, slice_from(tables), buf_slice(&o->signal->id),
                                      slice_from(where), (*o->lsn)++, o->asked_us);
    tell(o, !room,
         room ? "a snapshot was asked for: "
              : "a snapshot is not taken, because its condition is too long, or too many wait: ",
         tables);
}

static void stop(const struct obeying *o, const char *tables)
{
    bool found = false;
    for (size_t i = o->list->count; i-- > 0;) {
        if (!tables || strcmp(o->list->items[i].tables, tables) == 0) {
            found = true;
            tell(o, false, "a snapshot is stopped: ", o->list->items[i].tables);
            snapshot_requests_drop(o->list, i);
        }
    }
    if (!found) {
        tell(o, true, "no snapshot to stop", "");
    }
}

void signal_obey(const struct signal *s, struct snapshot_requests *q, uint64_t *lsn,
                 int64_t asked_us, void (*say)(void *ctx, bool wrong, const char *text), void *ctx)
{
    const struct obeying o = {s, q, lsn, asked_us, say, ctx};
    const char *at = buf_str(&s->wanted);
    if (s->type == SIGNAL_PAUSE || s->type == SIGNAL_RESUME) {
        q->paused = s->type == SIGNAL_PAUSE && q->count > 0;
        tell(&o, q->count == 0,
             q->count == 0 ? "no snapshot was asked for that could be paused or resumed"
             : q->paused   ? "requested snapshots are paused"
                           : "requested snapshots go on",
             "");
        return;
    }
    if (s->type == SIGNAL_STOP && s->wanted_count == 0) {
        stop(&o, NULL);
    }
    for (size_t i = 0; i < s->wanted_count; i++) {
        const char *tables = at, *where = at + strlen(at) + 1;
        if (s->type == SIGNAL_EXECUTE) {
            execute(&o, tables, where);
        } else {
            stop(&o, tables);
        }
        at = where + strlen(where) + 1;
    }
}
