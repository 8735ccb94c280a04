/* `verify-batch`: checks the batch files of a folder, or copies of them, and names the first fault.
 * It needs no configuration, so a partner can run it. */
#include "base/clock.h"
#include "cli/kit/args.h"
#include "cli/kit/json_text.h"
#include "config/conf_text.h"
#include "daemon/registry.h"
#include <inttypes.h>

static void show_progress(void *ctx, uint64_t files, uint64_t of_files, uint64_t bytes)
{
    cli_progress(ctx, "checked %" PRIu64 " of %" PRIu64 " files, %" PRIu64 " bytes", files,
                 of_files, bytes);
}

/* Reads the key. Returns 0, or the exit code after a message. */
static int read_key(const char *path, struct arena *memory, struct slice *ret)
{
    struct error err;
    char *text;
    bool world_readable;
    *ret = SLICE_NULL;
    if (!path) {
        return 0;
    }
    if (conf_read_secret(path, memory, &text, &world_readable, &err)) {
        err.exit_code = EXIT_CODE_IO;
        return cli_fail(&err);
    }
    if (world_readable) {
        cli_warning("the secret file %s is world-readable; chmod 600 it", path);
    }
    *ret = slice_from(text);
    return 0;
}

static void add_pipeline(struct buf *out, const struct sink_verified *p, bool with_key)
{
    buf_printf(out, "%s: %" PRIu64 " to %" PRIu64 ", %" PRIu64 " events in %" PRIu64 " files; %s; ",
               p->pipeline, p->first, p->last, p->events, p->files,
               p->from_start ? "from the beginning"
                             : "what came before the first file is not here");
    buf_add_str(out, p->sealed == 0 ? "no HMAC\n"
                     : with_key     ? "HMAC checked\n"
                                    : "HMAC not checked (--hmac-key-file)\n");
}

static int print_text(const char *dir, const struct sink_verdict *v, bool with_key)
{
    CLEANUP(buf_release) struct buf out = {0};
    if (v->what.len > 0) {
        buf_printf(&out, "FAULT in %s/%s\n  what:     %s\n  expected: %s\n  found:    %s\n", dir,
                   buf_str(&v->at), buf_str(&v->what), buf_str(&v->expected), buf_str(&v->found));
        buf_printf(&out, "files before it, all as they were written: %" PRIu64 "\n", v->files);
        return cli_show(buf_slice(&out));
    }
    for (size_t i = 0; i < v->pipelines_count; i++) {
        add_pipeline(&out, &v->pipelines[i], with_key);
    }
    if (v->others) {
        buf_printf(&out, "%" PRIu64 " other files were not looked at\n", v->others);
    }
    if (v->files) {
        buf_printf(&out, "%" PRIu64 " files are as they were written\n", v->files);
    } else {
        buf_printf(&out, "%s holds no batch files: nothing was checked\n", dir);
    }
    return cli_show(buf_slice(&out));
}

static json_t *fault_json(const struct sink_verdict *v)
{
    if (v->what.len == 0) {
        return json_null();
    }
    json_t *o = json_object();
    json_set_bytes(o, "file_name", buf_slice(&v->at));
    json_set_bytes(o, "what", buf_slice(&v->what));
    json_set_bytes(o, "expected", buf_slice(&v->expected));
    json_set_bytes(o, "found", buf_slice(&v->found));
    return o;
}

static int print_json(const struct sink_verdict *v, bool with_key)
{
    json_t *pipelines = json_array();
    for (size_t i = 0; i < v->pipelines_count; i++) {
        const struct sink_verified *p = &v->pipelines[i];
        json_t *one = json_pack("{s:I, s:I, s:I, s:I, s:b, s:I}", "files", (json_int_t)p->files,
                                "events", (json_int_t)p->events, "first", (json_int_t)p->first,
                                "last", (json_int_t)p->last, "from_start", (int)p->from_start,
                                "sealed", (json_int_t)p->sealed);
        json_set_bytes(one, "pipeline", slice_from(p->pipeline));
        json_array_append_new(pipelines, one);
    }
    return json_print(json_pack(
        "{s:b, s:I, s:I, s:I, s:b, s:o, s:o}", "ok", (int)(v->what.len == 0), "files",
        (json_int_t)v->files, "bytes", (json_int_t)v->bytes, "others", (json_int_t)v->others,
        "hmac_checked", (int)with_key, "pipelines", pipelines, "fault", fault_json(v)));
}

/* The sink of this binary that leaves files which can be checked. */
static const struct sink_ops *verifier(void)
{
    for (const struct sink_ops *const *s = registry_sinks(); *s; s++) {
        if ((*s)->verify) {
            return *s;
        }
    }
    return NULL;
}

static int verify(const char *dir, struct slice key, bool json)
{
    CLEANUP(sink_verdict_release) struct sink_verdict verdict = {0};
    struct cli_progress progress = {.next_us = clock_mono_us() + US_PER_SECOND};
    const struct sink_watch watch = {show_progress, &progress};
    struct error err;
    const struct sink_ops *sink = verifier();
    if (!sink) {
        return cli_error(EXIT_CODE_USAGE,
                         "this commitrelay was built without the sink that writes batch files");
    }
    int rc = sink->verify(dir, key, &watch, &verdict, &err);
    cli_progress_end(&progress);
    if (rc) {
        return cli_fail(&err);
    }
    bool with_key = !slice_is_null(key);
    rc = json ? print_json(&verdict, with_key) : print_text(dir, &verdict, with_key);
    return rc ? rc : verdict.what.len > 0;
}

static int run(int argc, char **argv)
{
    const char *key_file = NULL;
    bool json = false;
    const struct args_option options[] = {
        {.name = "hmac-key-file",
         .kind = ARGS_TEXT,
         .target = &key_file,
         .value = "FILE",
         .help = "the key: every file and manifest must have its HMAC"},
        {.name = "json", .kind = ARGS_FLAG, .target = &json, .help = "the verdict as JSON"},
        ARGS_END};
    struct args_rest rest;
    int exit_code;
    if (!args_parse(&cli_verify_batch, options, argc, argv, &rest, &exit_code)) {
        return exit_code;
    }
    if (rest.count != 1) {
        return args_mistake(&cli_verify_batch,
                            rest.count ? "\"%s\" is one word too many" : "the folder is missing%s",
                            rest.count ? rest.items[1] : "");
    }
    CLEANUP(arena_release) struct arena memory = {0};
    struct slice key;
    exit_code = read_key(key_file, &memory, &key);
    return exit_code ? exit_code : verify(rest.items[0], key, json);
}

const struct cli_command cli_verify_batch = {
    .name = "verify-batch",
    .summary = "check batch files, their manifests, numbers, chain and HMAC",
    .usage = "DIR [--hmac-key-file FILE] [--json]",
    .about =
        "Needs no configuration, and works on copies. Ends with 0 if all is as it was written, with\n"
        "1 after naming the first fault, and with 74 if something cannot be read. Files that were\n"
        "taken away before the first or behind the last one cannot be noticed.",
    .run = run,
};
