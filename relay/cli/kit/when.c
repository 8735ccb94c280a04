/* A time may be given as people think of it: "2h" is two hours ago. */
#include "cli/kit/when.h"

#include "base/clock.h"
#include "cli/kit/args.h"
#include "config/conf_value.h"

/* False for what is no duration; a negative one would be a time that is yet to come. */
static bool parse(const char *text, int64_t *ret_us)
{
    int64_t us;
    if (conf_parse_number(CONF_DURATION, text, &us) != CONF_PARSE_OK || us < 0) {
        return false;
    }
    *ret_us = us;
    return true;
}

int cli_duration(const struct cli_command *command, const char *option, const char *text,
                 int64_t *ret_us)
{
    if (parse(text, ret_us)) {
        return 0;
    }
    return args_mistake(command, "--%s needs a duration with a unit (%s), not \"%s\"", option,
                        conf_units(CONF_DURATION), text);
}

int cli_when(const struct cli_command *command, const char *option, const char *text,
             int64_t *ret_us)
{
    int64_t ago_us;
    if (clock_parse_timestamp(slice_from(text), ret_us)) {
        return 0;
    }
    if (parse(text, &ago_us)) {
        *ret_us = clock_wall_us() - ago_us;
        return 0;
    }
    return args_mistake(command,
                        "--%s needs a time, as 2026-11-29T14:00:00Z, or how long ago that is, as "
                        "2h (units: %s), not \"%s\"",
                        option, conf_units(CONF_DURATION), text);
}
