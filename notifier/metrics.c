/* The table of metrics. See metrics.h. */
#include "notifier/metrics.h"

#include "base/clock.h"
#include "notifier/server.h"

#include <inttypes.h>
#include <string.h>

/* Those of one name stand together. */
static const struct metric {
    const char *name, *labels, *help; /* help: NULL for more of the same name */
} METRICS[COUNTERS] = {
    [COUNT_OPENED] = {"streams_opened_total", "", "Streams that began."},
    [COUNT_DELIVERIES] = {"deliveries_total", "", "Events written to clients."},
    [COUNT_BYTES] = {"sent_bytes_total", "", "Bytes written to clients."},
    [COUNT_WRITES] = {"writes_total", "", "System calls that wrote them."},
    [COUNT_HEARTBEATS] = {"heartbeats_total", "", "Heartbeats."},
    [COUNT_SLOW] = {"slow_total", "", "Times that a client's socket was full."},
    [COUNT_CATCHUP] = {"catchups_total", "", "Times that a stream was behind what is in memory."},
    [COUNT_READS_MEMORY] = {"reads_total", "{from=\"memory\"}", "Chunks of old events, by where they were read."},
    [COUNT_RESETS] = {"resets_total", "", "Clients that were ahead of the log."},
    [COUNT_EXPIRED] = {"sessions_expired_total", "", "Streams that ended with their session."},
    [COUNT_AGED] = {"streams_aged_total", "", "Streams that ended for their age."},
    [COUNT_REFUSED_ALL] = {"refusals_total", "{reason=\"all\"}", "Requests that became no stream."},
    [COUNT_REFUSED_USER] = {"refusals_total", "{reason=\"user\"}", NULL},
    [COUNT_REFUSED_ADDRESS] = {"refusals_total", "{reason=\"address\"}", NULL},
    [COUNT_REFUSED_TEMPORARY] = {"refusals_total", "{reason=\"temporary\"}", NULL},
    [COUNT_REFUSED_CREDENTIALS] = {"refusals_total", "{reason=\"credentials\"}", NULL},
    [COUNT_REFUSED_TOPIC] = {"refusals_total", "{reason=\"topic\"}", NULL},
    [COUNT_REFUSED_REQUEST] = {"refusals_total", "{reason=\"request\"}", NULL},
};

#define PREFIX "courant_notifier_"

static void head(struct buf *buf, const char *name, const char *type, const char *help)
{
    buf_printf(buf, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name, help, name, type);
}

static void whole(struct buf *buf, const char *name, const char *help, int64_t value)
{
    head(buf, name, "gauge", help);
    buf_printf(buf, PREFIX "%s %" PRId64 "\n", name, value);
}

static void seconds(struct buf *buf, const char *name, const char *help, int64_t micros)
{
    head(buf, name, "gauge", help);
    buf_printf(buf, PREFIX "%s %.6f\n", name, (double)micros / 1000000);
}

static uint64_t sum(const struct server *server, enum counter counter)
{
    uint64_t all = 0;
    for (size_t i = 0; i < server->loop_count; i++)
        all += atomic_load_explicit(&server->loops[i]->counters.values[counter], memory_order_relaxed);
    return all;
}

static void counters(const struct server *server, const struct history_counts *history, struct buf *buf)
{
    for (int i = 0; i < COUNTERS; i++) {
        const struct metric *metric = &METRICS[i];
        if (metric->help != NULL)
            head(buf, metric->name, "counter", metric->help);
        buf_printf(buf, PREFIX "%s%s %" PRIu64 "\n", metric->name, metric->labels, sum(server, (enum counter)i));
        if (i != COUNT_READS_MEMORY)
            continue;
        buf_printf(buf, PREFIX "reads_total{from=\"bus\"} %" PRIu64 "\n", history->from_bus);
        buf_printf(buf, PREFIX "reads_total{from=\"log\"} %" PRIu64 "\n", history->from_log);
    }
}

void metrics_text(struct server *server, struct buf *buf)
{
    struct watch_state watch;
    struct history_counts history;
    watch_read(server->watch, &watch);
    history_count(server->history, &history);
    whole(buf, "streams", "Open streams.", (int64_t)places_taken(server->places));
    whole(buf, "connections", "Open connections, streams among them.", (int64_t)server_clients(server));
    whole(buf, "loops", "Event loops.", (int64_t)server->loop_count);
    whole(buf, "position", "The last position that all loops were handed.", server_reached(server));
    whole(buf, "log_position", "The last position of the log, as of a second ago.", watch.head);
    whole(buf, "lag_positions", "Positions that are in the log and were not handed out.", watch.behind);
    seconds(buf, "lag_seconds", "How long there have been such positions.", watch.lag_us);
    whole(buf, "bus", "1 when events come over the bus, 0 when the log is polled.", source_live(server->source));
    whole(buf, "withdrawn", "Things that are not for everybody.", (int64_t)withdrawn_count(server->withdrawn));
    whole(buf, "history_bytes", "Memory of old events that were read.", (int64_t)history.bytes);
    whole(buf, "history_waiting", "What clients wait for from the bus, the log or the accounts.",
          (int64_t)history.waiting);
    head(buf, "canaries_total", "counter", "Canaries that have come back.");
    buf_printf(buf, PREFIX "canaries_total %" PRIu64 "\n", (uint64_t)watch.canaries);
    seconds(buf, "canary_seconds", "How long the last canary flew.", watch.canary_us > 0 ? watch.canary_us : 0);
    seconds(buf, "start_time_seconds", "When it started, since 1970.", server->started);
    counters(server, &history, buf);
}
