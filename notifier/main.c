/* courant-notifier: events of the log as server-sent events. */
#include "base/listen.h"
#include "base/log.h"
#include "base/options.h"
#include "events/bus.h"
#include "notifier/server.h"
#include "sql/db.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* A client is a descriptor: as many as the system lets us have. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warning("the limit of descriptors stays as it is");
}

static int run(const char *path, struct err *err)
{
    struct conf conf;
    if (crypt_init(err) != 0 || conf_load(&conf, path, "courant-notifier", err) != 0)
        return -1;
    int fd = listen_open(conf.notifier_listen, err);
    int status_fd = fd >= 0 ? listen_open(conf.notifier_status_listen, err) : -1;
    if (status_fd < 0)
        return -1;
    raise_descriptors();
    log_info("listening on %s, and for status on %s", conf.notifier_listen, conf.notifier_status_listen);
    int status = server_run(&conf, path, fd, status_fd);
    bus_end();
    sql_end();
    close(fd);
    close(status_fd);
    listen_remove(conf.notifier_listen);
    listen_remove(conf.notifier_status_listen);
    conf_wipe(&conf);
    return status;
}

int main(int argc, char **argv)
{
    const char *path;
    struct err err;
    crypt_wipe_freed(argv);
    options_read(argc, argv, "courant-notifier", "Streams Courant's events to browsers. See courant-notifier(8).",
                 &path);
    int status = run(path, &err);
    if (status < 0)
        log_error("%s", err.text);
    return status < 0 ? EXIT_FAILURE : status;
}
