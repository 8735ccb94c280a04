/* `reload`: lets the running daemon read its configuration file again, as SIGHUP does, and says
 * whether it did. */
#include "cli/kit/admin_client.h"
#include "cli/kit/args.h"
#include "cli/kit/find_relay.h"
#include <string.h>

static int not_found(const struct found_relay *f, const struct config *c)
{
    if (f->closed.len > 0) {
        return cli_error(
            EXIT_CODE_PERMISSION,
            "this user may not ask the relay at %s; run the command as the relay's user",
            buf_str(&f->closed));
    }
    return cli_error(
        EXIT_CODE_UNAVAILABLE,
        "no relay that runs %s listens for commands (admin.socket); start one, or send SIGHUP to the one you mean, which is also the way if the file moves that socket",
        c->file);
}

static int answered(const struct config *c, const struct admin_reply *reply)
{
    enum { DONE = 200 };
    CLEANUP(buf_release) struct buf line = {0};
    json_t *answer = json_loadb(buf_str(&reply->body), reply->body.len, 0, NULL);
    const char *why = json_string_value(json_object_get(answer, "error"));
    int rc;
    if (reply->status == DONE) {
        buf_printf(&line, "reloaded %s\n", c->file);
        rc = cli_show(buf_slice(&line));
    } else {
        rc = cli_error(EXIT_CODE_CONFIG,
                       "the relay refused it, and everything goes on as before: %s",
                       why ? why : "no reason given");
    }
    json_decref(answer);
    return rc;
}

static int ask(const struct found_relay *f, const struct config *c)
{
    struct admin_reply reply = {0};
    struct error err = {0};
    int rc = admin_client_ask(buf_str(&f->address), "POST /orders?command=reload", &reply, &err)
                 ? cli_error(EXIT_CODE_GAVE_UP,
                             "the relay has not answered, it may still do it (its log says so): %s",
                             err.text)
                 : answered(c, &reply);
    buf_release(&reply.body);
    return rc;
}

static int run(int argc, char **argv)
{
    const char *file = NULL;
    const struct args_option options[] = {
        {"config", 'c', ARGS_TEXT, &file, "FILE", ARGS_CONFIG_HELP, 0, 0}, ARGS_END};
    CLEANUP(cli_config_free) struct config *c = NULL;
    CLEANUP(find_relay_release) struct found_relay f = {0};
    int rc;
    if (!args_parse(&cli_reload, options, argc, argv, NULL, &rc)) {
        return rc;
    }
    rc = cli_load(file, &c);
    rc = rc ? rc : find_relay(&f, c);
    if (rc) {
        return rc;
    }
    return f.sure ? ask(&f, c) : not_found(&f, c);
}

const struct cli_command cli_reload = {
    .name = "reload",
    .summary = "let the running daemon read its configuration file again",
    .usage = "[-c FILE]",
    .about =
        "Reads the file first, so a mistake in it is told here and the daemon is not asked. Then asks "
        "the daemon\nover its socket. Pipelines whose settings changed drain and start again, the "
        "others go on.\n\n"
        "Exit codes: 0 taken; 64 usage; 69 no relay of this file was found; 75 it has not answered; "
        "77 permission;\n78 refused, with the reason: everything goes on as before.\n\n"
        "example: commitrelay reload -c /etc/commitrelay/relay.yaml",
    .run = run,
};
