/*
 * The address blocks that IANA's special-purpose registries (RFC 6890 and later) keep from the
 * public internet.
 */
#include "sink/http/address.h"

#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

struct block4 {
    uint32_t net;
    int bits;
};

static const struct block4 blocks4[] = {
    {0x00000000, 8},  /* this network; Linux connects 0.0.0.0 to itself */
    {0x0a000000, 8},  /* 10.0.0.0: private */
    {0x64400000, 10}, /* 100.64.0.0: shared by carriers */
    {0x7f000000, 8},  /* 127.0.0.0: loopback */
    {0xa9fe0000, 16}, /* 169.254.0.0: link-local, and the metadata service of clouds */
    {0xac100000, 12}, /* 172.16.0.0: private */
    {0xc0000000, 24}, /* 192.0.0.0: protocol assignments */
    {0xc0a80000, 16}, /* 192.168.0.0: private */
    {0xc6120000, 15}, /* 198.18.0.0: benchmarks */
    {0xe0000000, 3},  /* 224.0.0.0 and above: multicast, reserved, broadcast */
};

struct block6 {
    uint8_t net[4]; /* the first bytes */
    int bits;
};

static const struct block6 blocks6[] = {
    {{0xfe, 0x80}, 10},             /* link-local */
    {{0xfe, 0xc0}, 10},             /* site-local, no longer used */
    {{0xfc, 0x00}, 7},              /* private */
    {{0xff, 0x00}, 8},              /* multicast */
    {{0x20, 0x01, 0x00, 0x00}, 32}, /* Teredo: a tunnel to anywhere */
};

static bool is_private4(uint32_t address)
{
    for (size_t i = 0; i < sizeof blocks4 / sizeof *blocks4; i++) {
        if (((address ^ blocks4[i].net) >> (32 - blocks4[i].bits)) == 0) {
            return true;
        }
    }
    return false;
}

static uint32_t number_at(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static bool begins(const uint8_t *bytes, const void *with, size_t n)
{
    return memcmp(bytes, with, n) == 0;
}

static bool is_private6(const uint8_t *a)
{
    static const uint8_t zeros[12];
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    static const uint8_t local_nat64[6] = {0x00, 0x64, 0xff, 0x9b, 0x00, 0x01};
    if (begins(a, zeros, 12) || begins(a, local_nat64, 6)) {
        return true; /* ::, ::1 and the old IPv4-compatible ones */
    }
    if (begins(a, mapped, 12) || begins(a, nat64, 12)) {
        return is_private4(number_at(a + 12));
    }
    if (begins(a, "\x20\x02", 2)) { /* 6to4 */
        return is_private4(number_at(a + 2));
    }
    for (size_t i = 0; i < sizeof blocks6 / sizeof *blocks6; i++) {
        if (((number_at(a) ^ number_at(blocks6[i].net)) >> (32 - blocks6[i].bits)) == 0) {
            return true;
        }
    }
    return false;
}

bool http_address_is_private(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        return is_private4(ntohl(in.sin_addr.s_addr));
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, address, sizeof in6);
        return is_private6(in6.sin6_addr.s6_addr);
    }
    return true;
}
