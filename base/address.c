/* See address.h. */
#include "base/address.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

static const unsigned char MAPPED[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool address_parse(const char *text, size_t len, struct address *address)
{
    char copy[64];
    if (len > 0 && text[0] == '[') { /* [::1]:80 */
        const char *end = memchr(text, ']', len);
        if (end == NULL)
            return false;
        len = (size_t)(end - text) - 1;
        text++;
    }
    if (len == 0 || len >= sizeof copy)
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    char *colon = strchr(copy, ':');
    if (colon != NULL && strchr(colon + 1, ':') == NULL)
        *colon = '\0'; /* 192.0.2.1:80 */
    if (inet_pton(AF_INET6, copy, address->bytes) == 1)
        return true;
    memcpy(address->bytes, MAPPED, sizeof MAPPED);
    return inet_pton(AF_INET, copy, address->bytes + sizeof MAPPED) == 1;
}

static bool is_mapped(const struct address *address)
{
    return memcmp(address->bytes, MAPPED, sizeof MAPPED) == 0;
}

static bool parse_network(const char *text, size_t len, struct network *network)
{
    const char *slash = memchr(text, '/', len);
    size_t address_len = slash != NULL ? (size_t)(slash - text) : len;
    if (memchr(text, '[', len) != NULL || !address_parse(text, address_len, &network->address))
        return false;
    int most = is_mapped(&network->address) ? 32 : 128;
    network->bits = 128;
    if (slash == NULL)
        return true;
    char *end = NULL;
    long bits = strtol(slash + 1, &end, 10);
    network->bits = (int)bits + (128 - most);
    return end == text + len && end > slash + 1 && bits >= 0 && bits <= most;
}

int networks_parse(const char *text, struct networks *networks, struct err *err)
{
    networks->count = 0;
    for (const char *at = text + strspn(text, ", \t"); *at != '\0';) {
        size_t len = strcspn(at, ", \t");
        if (networks->count == NETWORKS_MOST)
            return fail(err, ERR_INTERNAL, "there are more than %d networks", NETWORKS_MOST);
        if (!parse_network(at, len, &networks->list[networks->count++]))
            return fail(err, ERR_INTERNAL, "%.*s is no address, and no network such as 10.0.0.0/8",
                        (int)(len < 60 ? len : 60), at);
        at += len + strspn(at + len, ", \t");
    }
    return 0;
}

static bool matches(const struct network *network, const struct address *address)
{
    size_t whole = (size_t)network->bits / 8, rest = (size_t)network->bits % 8;
    unsigned char mask = (unsigned char)(0xff << (8 - rest));
    return memcmp(network->address.bytes, address->bytes, whole) == 0 &&
           (rest == 0 || ((network->address.bytes[whole] ^ address->bytes[whole]) & mask) == 0);
}

bool networks_have(const struct networks *networks, const struct address *address)
{
    for (size_t i = 0; i < networks->count; i++)
        if (matches(&networks->list[i], address))
            return true;
    return false;
}

struct address address_of_client(const char *peer, const char *forwarded, const struct networks *proxies)
{
    struct address address = {{0}};
    if (peer == NULL || !address_parse(peer, strlen(peer), &address))
        return address;
    return address_behind(&address, forwarded, proxies);
}

struct address address_behind(const struct address *peer, const char *forwarded, const struct networks *proxies)
{
    struct address client = *peer, next;
    size_t end = forwarded != NULL ? strlen(forwarded) : 0;
    while (end > 0 && networks_have(proxies, &client)) {
        size_t start = end;
        while (start > 0 && forwarded[start - 1] != ',')
            start--;
        const char *entry = forwarded + start;
        size_t len = end - start;
        for (; len > 0 && (*entry == ' ' || *entry == '\t'); entry++)
            len--;
        while (len > 0 && (entry[len - 1] == ' ' || entry[len - 1] == '\t'))
            len--;
        if (!address_parse(entry, len, &next))
            break;
        client = next;
        end = start > 0 ? start - 1 : 0;
    }
    return client;
}

size_t address_significant(const struct address *address)
{
    return is_mapped(address) ? ADDRESS_SIZE : 8;
}
