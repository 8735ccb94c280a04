/*
 * Which addresses are nobody's business outside: a URL that comes from a row of a table must not
 * reach the relay's own network. Pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

/* Whether the address is private, link-local, loopback, multicast, reserved, or unknown to us. An
 * IPv4 address inside an IPv6 one (mapped, NAT64, 6to4) is looked at as IPv4. */
bool http_address_is_private(const struct sockaddr *address);
