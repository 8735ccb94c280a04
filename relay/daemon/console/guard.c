/* The Host header was checked before (admin_allow), which answers DNS rebinding. What a page of
 * another site sends has an Origin that is not this Host; what a form sends is no JSON. */
#include "daemon/console/guard.h"

#include <openssl/crypto.h>
#include <string.h>
#include <strings.h>

enum { FORBIDDEN = 403, UNAUTHORIZED = 401, UNSUPPORTED = 415 };

/* "http://host:port" for a request that was sent to "host:port". */
static bool same_origin(const char *origin, const char *host)
{
    const char *gap = strstr(origin, "://");
    return gap && host && strcasecmp(gap + 3, host) == 0;
}

bool guard_from_here(const struct admin_request *r)
{
    bool site = !r->fetch_site || strcmp(r->fetch_site, "same-origin") == 0 ||
                strcmp(r->fetch_site, "none") == 0;
    return site && (!r->origin || same_origin(r->origin, r->host));
}

/* Takes as long for a wrong token as for the right one. */
static bool has_token(const struct guard *g, const struct admin_request *r)
{
    static const char scheme[] = "Bearer ";
    size_t n = strlen(g->token);
    if (n == 0 || !r->authorization ||
        strncasecmp(r->authorization, scheme, sizeof scheme - 1) != 0) {
        return false;
    }
    const char *given = r->authorization + sizeof scheme - 1;
    return strlen(given) == n && CRYPTO_memcmp(given, g->token, n) == 0;
}

bool guard_sees(const struct guard *g, const struct admin_request *r)
{
    return guard_from_here(r) && (r->local || has_token(g, r));
}

static bool is_json(const char *type)
{
    static const char json[] = "application/json";
    size_t n = sizeof json - 1;
    return type && strncasecmp(type, json, n) == 0 && (!type[n] || strchr("; \t", type[n]));
}

int guard_acts(const struct guard *g, const struct admin_request *r, const char **ret_why)
{
    if (!g->actions) {
        *ret_why = "this console only shows: admin.actions is false";
        return FORBIDDEN;
    }
    if (!guard_from_here(r)) {
        *ret_why = GUARD_ELSEWHERE;
        return FORBIDDEN;
    }
    if (!is_json(r->type)) {
        *ret_why = "the request needs Content-Type: application/json";
        return UNSUPPORTED;
    }
    if (!r->local && !has_token(g, r)) {
        *ret_why = "acting over TCP needs Authorization: Bearer and the token of admin.token_file";
        return UNAUTHORIZED;
    }
    return 0;
}
