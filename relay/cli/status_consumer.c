/* Takes a consumer's state and figures from the daemon's answer. Its texts come from another
 * process, so they are made fit to be shown. */
#include "cli/status_consumer.h"

#include "base/shown.h"
#include "cli/columns.h"
#include "cli/kit/shell_text.h"
#include "consume/consumer.h"

static const char *state_of(const json_t *told)
{
    const char *state = json_string_value(json_object_get(told, "state"));
    return state ? state : "unknown";
}

static int64_t figure(const json_t *told, const char *name)
{
    return json_integer_value(json_object_get(told, name));
}

json_t *status_consumer_json(const char *name, const json_t *told)
{
    if (told) {
        return json_deep_copy(told);
    }
    json_t *o = json_object();
    json_object_set_new(o, "name", json_string(name));
    json_object_set_new(o, "state", json_string("unknown"));
    return o;
}

void status_consumer_text(const char *name, const json_t *told, const char *file, struct buf *out)
{
    CLEANUP(buf_release) struct buf text = {0};
    const char *detail = json_string_value(json_object_get(told, "detail"));
    shown_add(&text, slice_from(state_of(told)), SHOWN_IN_LINE);
    buf_printf(out, "consumer %s: %s\n", name, buf_str(&text));
    if (!told) {
        return;
    }
    if (detail) {
        buf_clear(&text);
        shown_add(&text, slice_from(detail), SHOWN_IN_LINE);
        buf_add_str(out, "    ");
        columns_wrap(out, 4, 4, buf_slice(&text));
    }
    buf_printf(out, "  applied       %lld since its start, %lld passed over as applied before\n",
               (long long)figure(told, "applied"), (long long)figure(told, "seen"));
    buf_printf(out, "  dead letters  %lld since its start, %lld put behind one\n",
               (long long)figure(told, "dead_letters"), (long long)figure(told, "waiting"));
    if (figure(told, "dead_letters") > 0) {
        buf_clear(&text);
        shell_add_command(&text, "dead-letters list", file, NULL);
        shell_add_option(&text, "consumer", name);
        columns_command(out, 8, buf_slice(&text));
    }
}

enum status_level status_consumer_level(const json_t *told)
{
    const char *state = state_of(told);
    bool down = strcmp(state, consumer_state_name(CONSUMER_BLOCKED)) == 0 ||
                strcmp(state, consumer_state_name(CONSUMER_FAILED)) == 0;
    return strcmp(state, consumer_state_name(CONSUMER_RUNNING)) == 0 ? STATUS_WELL
           : down                                                    ? STATUS_DOWN
                                                                     : STATUS_DEGRADED;
}
