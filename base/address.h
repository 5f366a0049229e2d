/* Addresses of clients, and networks of proxies (IPv4 and IPv6). */
#ifndef COURANT_BASE_ADDRESS_H
#define COURANT_BASE_ADDRESS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum { ADDRESS_SIZE = 16, NETWORKS_MOST = 32 };

/* An IPv4 address is the IPv6 address that it is mapped to (RFC 4291, section 2.5.5.2). */
struct address {
    unsigned char bytes[ADDRESS_SIZE];
};

struct networks {
    size_t count;
    struct network {
        struct address address;
        int bits; /* of 128 */
    } list[NETWORKS_MOST];
};

/* False for what is no address. A port after it, as proxies may add one, is left out. */
bool address_parse(const char *text, size_t len, struct address *address);

/* «127.0.0.1, 10.0.0.0/8, ::1», with commas or spaces. An error names the entry that is none. */
int networks_parse(const char *text, struct networks *networks, struct err *err);
bool networks_have(const struct networks *networks, const struct address *address);

/*
 * Who sent a request: the peer, or, where that is one of our proxies, the last address in X-Forwarded-For that is not
 * (forwarded may be NULL). What comes before an entry that is no address is not believed.
 */
struct address address_of_client(const char *peer, const char *forwarded, const struct networks *proxies);

/* The same of a peer whose address is known. */
struct address address_behind(const struct address *peer, const char *forwarded, const struct networks *proxies);

/* How many of its bytes stand for one client: of IPv6 the network, of which anybody has 2^64 addresses. */
size_t address_significant(const struct address *address);

#endif
