/*
 * The yardstick for reading: SOCKET PROCESSES CONFIG. A FastCGI program that answers every path with the text of the
 * article that its last segment names, by one prepared SELECT on the primary key and nothing else: no routing, no
 * rights, no headers but two.
 */
#include "base/conf.h"
#include "base/listen.h"

#include <fcgiapp.h>
#include <fcntl.h>
#include <mysql.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { TEXT_MOST = 65536 };

static const char SELECT[] = "SELECT summary, rest FROM articles WHERE id = ?";

struct reader {
    MYSQL *connection;
    MYSQL_STMT *statement;
    char id[64], text[2][TEXT_MOST];
    unsigned long id_len, len[2];
    MYSQL_BIND in, out[2];
};

static int fault(const char *text)
{
    fprintf(stderr, "select: %s\n", text);
    return 1;
}

static int start(struct reader *reader, const struct conf *conf)
{
    reader->connection = mysql_init(NULL);
    if (mysql_real_connect(reader->connection, NULL, conf->database_user, conf->database_password, conf->database_name,
                           0, conf->database_socket, 0) == NULL)
        return fault(mysql_error(reader->connection));
    reader->statement = mysql_stmt_init(reader->connection);
    reader->in = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_STRING, .buffer = reader->id, .length = &reader->id_len};
    for (int i = 0; i < 2; i++)
        reader->out[i] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_STRING,
                                      .buffer = reader->text[i],
                                      .buffer_length = TEXT_MOST,
                                      .length = &reader->len[i]};
    if (mysql_stmt_prepare(reader->statement, SELECT, sizeof SELECT - 1) != 0 ||
        mysql_stmt_bind_param(reader->statement, &reader->in) != 0 ||
        mysql_stmt_bind_result(reader->statement, reader->out) != 0)
        return fault(mysql_stmt_error(reader->statement));
    return 0;
}

static void answer(struct reader *reader, FCGX_Request *request)
{
    const char *target = FCGX_GetParam("REQUEST_URI", request->envp);
    const char *slash = target != NULL ? strrchr(target, '/') : NULL;
    reader->id_len = (unsigned long)snprintf(reader->id, sizeof reader->id, "%.36s", slash != NULL ? slash + 1 : "");
    if (mysql_stmt_execute(reader->statement) != 0 || mysql_stmt_fetch(reader->statement) != 0) {
        FCGX_PutS("Status: 404\r\nContent-Length: 0\r\n\r\n", request->out);
    } else {
        FCGX_FPrintF(request->out, "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n",
                     (int)(reader->len[0] + reader->len[1]));
        for (int i = 0; i < 2; i++)
            FCGX_PutStr(reader->text[i], (int)reader->len[i], request->out);
    }
    mysql_stmt_free_result(reader->statement);
}

static int serve(int fd, const struct conf *conf)
{
    static struct reader reader;
    FCGX_Request request;
    if (start(&reader, conf) != 0 || FCGX_Init() != 0 || FCGX_InitRequest(&request, fd, 0) != 0)
        return 1;
    while (FCGX_Accept_r(&request) >= 0) {
        answer(&reader, &request);
        FCGX_Finish_r(&request);
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct conf conf;
    struct err err;
    char address[128];
    if (argc != 4 || crypt_init(&err) != 0 || conf_load(&conf, argv[3], "select", &err) != 0) {
        fprintf(stderr, "usage: select SOCKET PROCESSES CONFIG\n");
        return 2;
    }
    snprintf(address, sizeof address, "unix:%s", argv[1]);
    int fd = listen_open(address, &err);
    if (fd < 0 || fcntl(fd, F_SETFL, 0) != 0)
        return fault(err.text);
    for (int i = 1; i < atoi(argv[2]); i++)
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGTERM);
            break;
        }
    return serve(fd, &conf);
}
