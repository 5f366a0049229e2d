/* courant-fcgi: the pool of workers behind the web server. */
#include "base/fold.h"
#include "base/listen.h"
#include "base/log.h"
#include "base/options.h"
#include "base/slug.h"
#include "fcgi/pool.h"
#include "handlers/app.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static int run(const char *path, struct err *err)
{
    struct conf conf;
    /* ICU's tables are loaded here, so that the workers share them. */
    if (crypt_init(err) != 0 || conf_load(&conf, path, "courant-fcgi", err) != 0 || slug_start(err) != 0 ||
        fold_start(err) != 0)
        return -1;
    bool inherited = listen_inherited();
    struct pool_setup setup = {.conf = &conf, .conf_path = path};
    setup.listen_fd = inherited ? STDIN_FILENO : listen_open(conf.fcgi_listen, err);
    if (inherited && fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK) != 0)
        return fail(err, ERR_INTERNAL, "the socket on descriptor 0 cannot be made non-blocking");
    if (setup.listen_fd < 0)
        return -1;
    setup.lane = lane_new(true);
    setup.known = known_new();
    setup.throttle = throttle_new();
    setup.gate = gate_new(conf.auth_argon2_concurrent, pool_waiting(conf.fcgi_workers));
    password_gate(setup.gate);
    bool shared = setup.lane != NULL && setup.known != NULL && setup.throttle != NULL && setup.gate != NULL;
    int status = shared ? pool_run(&setup) : fail(err, ERR_UNAVAILABLE, "no shared memory");
    lane_free(&setup.lane);
    known_free(&setup.known);
    throttle_free(&setup.throttle);
    password_gate(NULL);
    gate_free(&setup.gate);
    close(setup.listen_fd);
    if (!inherited)
        listen_remove(conf.fcgi_listen);
    conf_wipe(&conf);
    fold_end();
    slug_end();
    return status;
}

int main(int argc, char **argv)
{
    const char *path;
    struct err err;
    crypt_wipe_freed(argv);
    options_read(argc, argv, "courant-fcgi", "Serves Courant's HTTP interface over FastCGI. See courant-fcgi(8).",
                 &path);
    int status = run(path, &err);
    if (status < 0)
        log_error("%s", err.text);
    return status < 0 ? EXIT_FAILURE : status;
}
