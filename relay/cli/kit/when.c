/* A time may be given as people think of it: "2h" is two hours ago. */
#include "cli/kit/when.h"

#include "base/clock.h"
#include "cli/kit/args.h"
#include "config/conf_value.h"

static bool parse(const char *text, int64_t *ret_us)
{
    return conf_parse_number(CONF_DURATION, text, ret_us) == CONF_PARSE_OK;
}

/* A duration may not be negative: that long ago would be a time that is yet to come. */
static int refuse_negative(const struct cli_command *command, const char *option, const char *text)
{
    return args_mistake(command, "--%s \"%s\" is negative; leave the sign out: \"%s\"", option,
                        text, text + 1);
}

int cli_duration(const struct cli_command *command, const char *option, const char *text,
                 int64_t *ret_us)
{
    int64_t us;
    if (!parse(text, &us)) {
        return args_mistake(command, "--%s needs a duration with a unit (%s), not \"%s\"", option,
                            conf_units(CONF_DURATION), text);
    }
    if (us < 0) {
        return refuse_negative(command, option, text);
    }
    *ret_us = us;
    return 0;
}

int cli_when(const struct cli_command *command, const char *option, const char *text,
             int64_t *ret_us)
{
    int64_t ago_us;
    if (clock_parse_timestamp(slice_from(text), ret_us)) {
        return 0;
    }
    if (!parse(text, &ago_us)) {
        return args_mistake(command,
                            "--%s needs a time, as 2026-11-29T14:00:00Z, or how long ago that is, "
                            "as 2h (units: %s), not \"%s\"",
                            option, conf_units(CONF_DURATION), text);
    }
    if (ago_us < 0) {
        return refuse_negative(command, option, text);
    }
    *ret_us = clock_wall_us() - ago_us;
    return 0;
}
