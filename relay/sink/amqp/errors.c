/*
 * Conditions and outcomes of AMQP 1.0 as errors of the relay (errors.h).
 */
#include "sink/amqp/errors.h"

#include "base/clock.h"

#include <proton/disposition.h>
#include <stdio.h>
#include <string.h>

#define UNAUTHORIZED "amqp:unauthorized-access"
#define NOT_FOUND "amqp:not-found"
#define LIMIT "amqp:resource-limit-exceeded"

/* Artemis puts this code into the text when the address of a message has gone. The condition is
 * "failed" then. */
#define ARTEMIS_NOT_FOUND "AMQ119002"

/* How often to look whether a full address takes events again. */
#define FULL_WAIT_US (500 * US_PER_MS)

static bool is(pn_condition_t *c, const char *name)
{
    const char *is_name = c ? pn_condition_get_name(c) : NULL;
    return is_name && strcmp(is_name, name) == 0;
}

static bool says(pn_condition_t *c, const char *text)
{
    const char *description = c ? pn_condition_get_description(c) : NULL;
    return description && strstr(description, text);
}

/* "amqp:not-found: no such queue". */
static const char *shown(pn_condition_t *c, char out[400])
{
    const char *name = c ? pn_condition_get_name(c) : NULL;
    const char *description = c ? pn_condition_get_description(c) : NULL;
    snprintf(out, 400, "%.80s%s%.300s", name ? name : "it named no reason",
             description && *description ? ": " : "", description ? description : "");
    return out;
}

static int with_code(struct error *err, pn_condition_t *c)
{
    const char *name = c ? pn_condition_get_name(c) : NULL;
    return name ? error_code(err, name) : RESULT_ERROR;
}

int amqp_error_login_later(struct error *err, const char *server)
{
    error_set(err, ERROR_RETRY, "amqp",
              "%s cannot say whether the login is right for now; see the broker's log, and whether "
              "it reaches its directory of users",
              server);
    return error_code(err, "login");
}

/* The relay goes only where its configuration says. */
static int redirected(struct error *err, const char *server, pn_condition_t *c)
{
    const char *host = pn_condition_redirect_host(c);
    error_set(err, ERROR_CONFIG, "amqp",
              "%s sends the relay to %.200s:%d; name that server in sink.url", server,
              host ? host : "(no host)", pn_condition_redirect_port(c));
    return error_code(err, pn_condition_get_name(c));
}

int amqp_error_connection(struct error *err, const char *server, pn_condition_t *c)
{
    char why[400];
    if (is(c, UNAUTHORIZED)) {
        error_exit(err, ERROR_CONFIG, EXIT_CODE_PERMISSION, "amqp",
                   "%s refuses the login (%s); correct sink.username and sink.password", server,
                   shown(c, why));
    } else if (c && pn_condition_is_redirect(c)) {
        return redirected(err, server, c);
    } else if (is(c, "amqp:connection:framing-error")) {
        error_set(err, ERROR_CONFIG, "amqp",
                  "%s does not speak AMQP 1.0 there (%s); correct the port in sink.url; a RabbitMQ "
                  "is reached by a sink of its own",
                  server, shown(c, why));
    } else if (says(c, "local-idle-timeout")) {
        error_set(err, ERROR_RETRY, "amqp",
                  "%s was silent for longer than sink.idle_timeout; see whether the broker or the "
                  "network stands still; what is not acknowledged is sent again",
                  server);
    } else {
        error_set(err, ERROR_RETRY, "amqp",
                  "%s has ended the connection (%s); what is not acknowledged is sent again",
                  server, shown(c, why));
    }
    return with_code(err, c);
}

static int full(struct error *err, const char *server, const char *address, pn_condition_t *c)
{
    char why[400];
    error_set(err, ERROR_BUSY, "amqp",
              "%s: the address \"%s\" takes no events for now (%s); they wait until it has room",
              server, address, shown(c, why));
    err->retry_after_us = FULL_WAIT_US;
    return with_code(err, c);
}

static int forbidden(struct error *err, const char *server, const char *address, pn_condition_t *c)
{
    char why[400];
    error_exit(err, ERROR_CONFIG, EXIT_CODE_PERMISSION, "amqp",
               "%s: the user may not send to the address \"%s\" (%s); give it the permission",
               server, address, shown(c, why));
    return with_code(err, c);
}

bool amqp_is_not_found(pn_condition_t *c)
{
    return is(c, NOT_FOUND) || says(c, ARTEMIS_NOT_FOUND);
}

static int missing(struct error *err, const char *server, const char *address, pn_condition_t *c)
{
    char why[400];
    error_set(err, ERROR_CONFIG, "amqp",
              "%s: there is no address \"%s\" that keeps events (%s); create the queue, or "
              "correct sink.address and sink.kind",
              server, address, shown(c, why));
    return error_code(err, NOT_FOUND);
}

int amqp_error_link(struct error *err, const char *server, const char *address, pn_condition_t *c)
{
    static const char *const lasting[] = {"amqp:not-allowed",     "amqp:illegal-state",
                                          "amqp:not-implemented", "amqp:invalid-field",
                                          "amqp:decode-error",    "amqp:precondition-failed"};
    char why[400];
    if (c && pn_condition_is_redirect(c)) {
        return redirected(err, server, c);
    }
    if (is(c, LIMIT)) {
        return full(err, server, address, c);
    }
    if (is(c, UNAUTHORIZED)) {
        return forbidden(err, server, address, c);
    }
    if (amqp_is_not_found(c)) {
        return missing(err, server, address, c);
    }
    for (size_t i = 0; i < sizeof lasting / sizeof *lasting; i++) {
        if (is(c, lasting[i])) {
            error_set(err, ERROR_CONFIG, "amqp",
                      "%s refuses to take events for the address \"%s\" (%s); see whether it is "
                      "what sink.kind says, a queue or a topic",
                      server, address, shown(c, why));
            return with_code(err, c);
        }
    }
    error_set(err, ERROR_RETRY, "amqp",
              "%s has ended the link to the address \"%s\" (%s); it is made again", server, address,
              shown(c, why));
    return with_code(err, c);
}

static int rejected(struct error *err, const char *server, const char *address, pn_condition_t *c)
{
    char why[400];
    if (is(c, LIMIT)) {
        return full(err, server, address, c);
    }
    if (is(c, UNAUTHORIZED)) {
        return forbidden(err, server, address, c);
    }
    if (amqp_is_not_found(c)) {
        return missing(err, server, address, c);
    }
    if (is(c, "amqp:internal-error")) {
        error_set(err, ERROR_RETRY, "amqp",
                  "%s could not store an event at the address \"%s\" (%s); see the broker's log",
                  server, address, shown(c, why));
        return with_code(err, c);
    }
    error_set(err, ERROR_POISON, "amqp",
              "%s refuses the event at the address \"%s\" (%s); mend the event, or what the broker "
              "asks for there",
              server, address, shown(c, why));
    return with_code(err, c);
}

enum amqp_verdict amqp_verdict_of(pn_delivery_t *d, const char *server, const char *address,
                                  struct error *err)
{
    pn_disposition_t *remote = pn_delivery_remote(d);
    switch (pn_delivery_remote_state(d)) {
    case PN_ACCEPTED:
        return AMQP_ACCEPTED;
    case PN_REJECTED:
        rejected(err, server, address, pn_disposition_condition(remote));
        return AMQP_REFUSED;
    case PN_MODIFIED:
        if (pn_disposition_is_undeliverable(remote)) {
            error_set(err, ERROR_POISON, "amqp",
                      "%s cannot deliver the event at the address \"%s\" (modified, "
                      "undeliverable-here); see what the broker asks for there",
                      server, address);
            return AMQP_REFUSED;
        }
        break;
    case PN_RELEASED:
        break;
    default:
        if (!pn_delivery_settled(d)) {
            return AMQP_OPEN;
        }
    }
    error_set(err, ERROR_RETRY, "amqp",
              "%s has given an event for the address \"%s\" back (%s); it is sent again", server,
              address, pn_disposition_type_name(pn_delivery_remote_state(d)));
    error_code(err, "released");
    return AMQP_REFUSED;
}
