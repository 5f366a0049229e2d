/* /livez and /readyz */
#include "handlers/app.h"
#include "sql/migrate.h"

static void send_status(struct exchange *exchange, struct str json)
{
    http_add_header(exchange->response, "Cache-Control", "no-store");
    http_send_json(exchange->response, 200, json);
}

void health_live(struct exchange *exchange)
{
    send_status(exchange, STR("{\"status\":\"live\"}"));
}

void health_ready(struct exchange *exchange)
{
    struct err err;
    int applied = 0;
    if (!app_database(exchange))
        return;
    int status = migrations_applied(app_of(exchange)->db, exchange->arena, &applied, &err);
    /* ERR_INTERNAL: there is not even the table that says so. */
    if (status != 0 && err.kind != ERR_INTERNAL)
        http_send_error(exchange->response, exchange->request, &err, NULL);
    else if (applied < migrations_built())
        http_send_problem(exchange->response, exchange->request, 503, "The database is not migrated yet.", NULL);
    else
        send_status(exchange, STR("{\"status\":\"ready\"}"));
}
