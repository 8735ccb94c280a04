/* Notes the mistakes and warnings of one load, each with file and line. */
#include "config/conf_mistake.h"

#include "base/buf.h"
#include <stdarg.h>
#include <stdio.h>

/* How many mistakes `check` reports. */
enum { FAULTS_MAX = 100 };

void conf_fail_text(const struct conf_load *load, int line, struct error *err, const char *fmt, ...)
{
    char text[sizeof err->text];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    error_set(err, ERROR_CONFIG, "config", "%s:%d: %s", load->file, line, text);
}

int conf_go_on(struct conf_load *load, const struct error *err)
{
    if (!load->faults) {
        return RESULT_ERROR;
    }
    if (load->faults_count++ == 0) {
        *load->first = *err;
    }
    if (load->faults_count <= FAULTS_MAX) {
        buf_printf(load->faults, "%s\n", err->text);
    }
    return RESULT_DONE;
}

void conf_warn(struct conf_load *load, int line, const char *fmt, ...)
{
    char text[512];
    if (load->is_default) {
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    CLEANUP(buf_release) struct buf full = {0};
    buf_printf(&full, "%s:%d: %s", load->file, line, text);
    struct conf_warning *w = arena_array(load->memory, 1, sizeof *w);
    w->text = arena_bytes(load->memory, full.len + 1);
    memcpy(w->text, buf_str(&full), full.len + 1);
    *load->warnings_end = w;
    load->warnings_end = &w->next;
    load->warnings_count++;
}

struct conf_place conf_place_child(struct conf_load *load, struct conf_place at, const char *name)
{
    size_t path = strlen(at.path), where = strlen(at.where), n = strlen(name) + 1;
    char *text = arena_bytes(load->scratch, path + 1 + n);
    memcpy(text, at.path, path);
    size_t used = path;
    if (path) {
        text[used++] = '.';
    }
    memcpy(text + used, name, n);
    /* `where` is the end of `path`, so it points into the same text. */
    return (struct conf_place){text, where ? text + path - where : text + used};
}

bool conf_is_later(const struct conf_load *load, const char *where, const char *name)
{
    for (const struct conf_later *l = load->later; l && l->where; l++) {
        if (strcmp(l->where, where) == 0 && strcmp(l->name, name) == 0) {
            return true;
        }
    }
    return false;
}
