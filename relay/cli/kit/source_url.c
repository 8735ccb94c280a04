/* Finds out which kind of source a URL names, and refuses a password on the command line, where
 * other users can read it. */
#include "cli/kit/source_url.h"

#include "db/pg.h"
#include "db/sqlite.h"
#include <stdlib.h>
#include <string.h>

static int take_postgres(const struct cli_command *command, struct source_url *ret)
{
    struct error err = {0};
    bool password;
    ret->kind = SOURCE_KIND_POSTGRES;
    if (pg_has_password(ret->text, &password, &err)) {
        return args_mistake(command, "%s", err.text);
    }
    if (password && !ret->from_environment) {
        return args_mistake(command,
                            "--source holds a password, which other users could read; put it into "
                            "a password file (PGPASSFILE), a service file (service=NAME), or the "
                            "whole URL into COMMITRELAY_SOURCE");
    }
    return 0;
}

bool source_url_given(const char *option)
{
    const char *env = getenv("COMMITRELAY_SOURCE");
    return option || (env && env[0]);
}

int source_url_take(const struct cli_command *command, const char *option, struct source_url *ret)
{
    const char *env = getenv("COMMITRELAY_SOURCE");
    struct source_url url = {.url = option ? option : env, .from_environment = !option};
    if (!url.url || !url.url[0]) {
        return args_mistake(command, "no source given; name it with --source URL, or in the "
                                     "environment as COMMITRELAY_SOURCE");
    }
    int rc = 0;
    url.text = url.url;
    if (sqlite_url_path(url.url)) {
        url.kind = SOURCE_KIND_SQLITE;
        url.text = sqlite_url_path(url.url);
    } else if (strcmp(url.url, "sqlite:") == 0) {
        return args_mistake(command, "sqlite: needs a path behind it");
    } else if (pg_url(url.url)) {
        rc = take_postgres(command, &url);
    } else {
        return args_mistake(command, "a source is postgresql://..., a libpq conninfo string or "
                                     "sqlite:PATH");
    }
    if (rc == 0) {
        *ret = url;
    }
    return rc;
}
