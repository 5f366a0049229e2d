/* Listening sockets. See listen.h. */
#include "base/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 1024, SOCKET_FLAGS = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK };

static int failed(int fd, const char *address, struct err *err)
{
    int number = errno;
    if (fd >= 0)
        close(fd);
    return fail(err, ERR_INTERNAL, "cannot listen on %.200s: %s", address, strerror(number));
}

static bool answered(const struct sockaddr_un *name)
{
    int fd = socket(AF_UNIX, SOCKET_FLAGS, 0);
    if (fd < 0)
        return false;
    bool living = connect(fd, (const struct sockaddr *)name, sizeof *name) == 0 || errno == EAGAIN;
    close(fd);
    return living;
}

static int open_unix(const char *address, struct err *err)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const char *path = address + strlen("unix:");
    if (strlen(path) >= sizeof name.sun_path)
        return fail(err, ERR_INTERNAL, "cannot listen on %.200s: a socket's path has at most %zu bytes", address,
                    sizeof name.sun_path - 1);
    memcpy(name.sun_path, path, strlen(path) + 1);
    if (answered(&name))
        return fail(err, ERR_INTERNAL, "cannot listen on %.200s: a server is running there", address);
    unlink(path);
    int fd = socket(AF_UNIX, SOCKET_FLAGS, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof name) != 0 || chmod(path, 0660) != 0 ||
        listen(fd, BACKLOG) != 0)
        return failed(fd, address, err);
    return fd;
}

/* «host:port»; the first address of those that the name has. flags: of getaddrinfo. */
static struct addrinfo *find(const char *address, int flags, struct err *err)
{
    char host[256];
    const char *colon = strrchr(address, ':');
    struct addrinfo hints = {.ai_flags = flags | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *found = NULL;
    size_t len = colon != NULL ? (size_t)(colon - address) : 0;
    if (colon == NULL || len >= sizeof host) {
        fail(err, ERR_INTERNAL, "cannot listen on %.200s: unix:/path or host:port is needed", address);
        return NULL;
    }
    bool v6 = len > 1 && address[0] == '[' && address[len - 1] == ']';
    snprintf(host, sizeof host, "%.*s", (int)(v6 ? len - 2 : len), v6 ? address + 1 : address);
    int status = getaddrinfo(host[0] != '\0' ? host : NULL, colon + 1, &hints, &found);
    if (status != 0)
        fail(err, ERR_INTERNAL, "cannot listen on %.200s: %s", address, gai_strerror(status));
    return status == 0 ? found : NULL;
}

static int open_inet(const char *address, struct err *err)
{
    struct addrinfo *found = find(address, AI_PASSIVE, err);
    if (found == NULL)
        return -1;
    int on = 1, fd = socket(found->ai_family, SOCKET_FLAGS, 0);
    bool ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
              bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0;
    freeaddrinfo(found);
    return ok ? fd : failed(fd, address, err);
}

static int connect_to(int family, const struct sockaddr *name, socklen_t len, const char *address, struct err *err)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, name, len) == 0)
        return fd;
    fail(err, ERR_UNAVAILABLE, "cannot connect to %.200s: %s", address, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

int listen_connect(const char *address, struct err *err)
{
    if (strncmp(address, "unix:", 5) == 0) {
        struct sockaddr_un name = {.sun_family = AF_UNIX};
        snprintf(name.sun_path, sizeof name.sun_path, "%s", address + 5);
        return connect_to(AF_UNIX, (const struct sockaddr *)&name, sizeof name, address, err);
    }
    struct addrinfo *found = find(address, 0, err);
    if (found == NULL)
        return -1;
    int fd = connect_to(found->ai_family, found->ai_addr, found->ai_addrlen, address, err);
    freeaddrinfo(found);
    return fd;
}

int listen_open(const char *address, struct err *err)
{
    return strncmp(address, "unix:", 5) == 0 ? open_unix(address, err) : open_inet(address, err);
}

void listen_remove(const char *address)
{
    if (strncmp(address, "unix:", 5) == 0)
        unlink(address + 5);
}

bool listen_inherited(void)
{
    int listening = 0;
    socklen_t len = sizeof listening;
    return getsockopt(STDIN_FILENO, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && listening;
}
