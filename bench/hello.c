/*
 * The yardstick for answering: SOCKET PROCESSES. A FastCGI program that says hello, as small as one can be with
 * libfcgi, behind the same web server.
 */
#include "base/listen.h"

#include <fcgiapp.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

static int serve(int fd)
{
    FCGX_Request request;
    if (FCGX_Init() != 0 || FCGX_InitRequest(&request, fd, 0) != 0)
        return 1;
    while (FCGX_Accept_r(&request) >= 0) {
        FCGX_PutS("Content-Type: text/plain\r\nContent-Length: 6\r\n\r\nhello\n", request.out);
        FCGX_Finish_r(&request);
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct err err;
    char address[128];
    if (argc != 3) {
        fprintf(stderr, "usage: hello SOCKET PROCESSES\n");
        return 2;
    }
    snprintf(address, sizeof address, "unix:%s", argv[1]);
    int fd = listen_open(address, &err);
    if (fd < 0 || fcntl(fd, F_SETFL, 0) != 0) {
        fprintf(stderr, "hello: %s\n", err.text);
        return 1;
    }
    for (int i = 1; i < atoi(argv[2]); i++)
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGTERM);
            break;
        }
    return serve(fd);
}
