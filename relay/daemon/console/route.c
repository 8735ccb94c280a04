/* The path is taken apart word by word. HEAD is asked like GET; the library sends no body then. */
#include "daemon/console/route.h"

#include "base/digits.h"
#include <string.h>

struct line {
    bool post;
    const char *word;
    enum route_what what;
};

static const struct line of_all[] = {{false, "pipelines", ROUTE_PIPELINES},
                                     {false, "log", ROUTE_LOG},
                                     {false, "config", ROUTE_CONFIG},
                                     {false, "check", ROUTE_CHECK},
                                     {false, NULL, ROUTE_NONE}};
static const struct line of_one[] = {
    {false, "graph", ROUTE_GRAPH},      {false, "positions", ROUTE_POSITIONS},
    {false, "parked", ROUTE_PARKED},    {false, "dead-letters", ROUTE_LETTERS},
    {true, "pause", ROUTE_PAUSE},       {true, "resume", ROUTE_RESUME},
    {true, "position", ROUTE_POSITION}, {true, "retry", ROUTE_RETRY},
    {true, "drop", ROUTE_DROP},         {false, NULL, ROUTE_NONE}};

/* The next word of "/a/b"; null at the end. */
static struct slice next(const char **path)
{
    if (**path != '/') {
        return SLICE_NULL;
    }
    const char *word = *path + 1;
    *path = word + strcspn(word, "/");
    return (struct slice){word, (size_t)(*path - word)};
}

static struct console_route found(const struct console_route *so_far, enum route_what what,
                                  bool needs_post, bool post)
{
    struct console_route r = *so_far;
    r.what = needs_post == post ? what : ROUTE_NONE;
    r.wrong_method = needs_post != post;
    return r;
}

static struct console_route look_up(const struct console_route *so_far, const struct line *lines,
                                    struct slice word, bool post)
{
    for (; lines->word; lines++) {
        if (slice_equal_str(word, lines->word)) {
            return found(so_far, lines->what, lines->post, post);
        }
    }
    return (struct console_route){0};
}

/* What is behind /api/v1. */
static struct console_route of_api(const char *path, bool post)
{
    struct console_route r = {0};
    struct slice group = next(&path), name = next(&path);
    uint64_t id;
    if (slice_is_null(name)) {
        return look_up(&r, of_all, group, post);
    }
    struct slice word = next(&path), last = next(&path);
    if (!slice_equal_str(group, "pipelines") || slice_is_null(word) || *path || name.len == 0 ||
        name.len >= sizeof r.pipeline) {
        return (struct console_route){0};
    }
    memcpy(r.pipeline, name.ptr, name.len);
    if (slice_is_null(last)) {
        return look_up(&r, of_one, word, post);
    }
    if (!slice_equal_str(word, "dead-letters") || !digits_parse(last, &id) || id == 0 ||
        id > INT64_MAX) {
        return (struct console_route){0};
    }
    r.letter = (int64_t)id;
    r.what = post ? ROUTE_EDIT : ROUTE_LETTER;
    return r;
}

struct console_route console_route_of(const char *method, const char *path)
{
    static const char api[] = "/api/v1";
    const struct console_route nothing = {0};
    bool post = strcmp(method, "POST") == 0;
    bool other = !post && strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0;
    if (other) {
        return (struct console_route){.wrong_method = true};
    }
    if (strcmp(path, "/") == 0) {
        return found(&nothing, ROUTE_PAGE, false, post);
    }
    if (strcmp(path, "/events") == 0) {
        return found(&nothing, ROUTE_EVENTS, false, post);
    }
    if (strncmp(path, api, sizeof api - 1) == 0 && path[sizeof api - 1] == '/') {
        return of_api(path + sizeof api - 1, post);
    }
    return (struct console_route){.wrong_method = post};
}
