/* courant-notifier: events of the log as server-sent events. */
#include "base/listen.h"
#include "base/log.h"
#include "base/options.h"
#include "events/bus.h"
#include "notifier/server.h"
#include "sql/db.h"

#include <stdlib.h>
#include <unistd.h>

static int run(const char *path, struct err *err)
{
    struct conf conf;
    if (crypt_init(err) != 0 || conf_load(&conf, path, "courant-notifier", err) != 0)
        return -1;
    int fd = listen_open(conf.notifier_listen, err);
    if (fd < 0)
        return -1;
    log_info("listening on %s", conf.notifier_listen);
    int status = server_run(&conf, fd);
    bus_end();
    sql_end();
    close(fd);
    listen_remove(conf.notifier_listen);
    conf_wipe(&conf);
    return status;
}

int main(int argc, char **argv)
{
    const char *path;
    struct err err;
    options_read(argc, argv, "courant-notifier", "Streams Courant's events to browsers. See courant-notifier(8).",
                 &path);
    int status = run(path, &err);
    if (status < 0)
        log_error("%s", err.text);
    return status < 0 ? EXIT_FAILURE : status;
}
