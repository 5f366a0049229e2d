/* JetStream by nats.c. See bus.h. */
#include "events/bus.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/log.h"

#include <inttypes.h>
#include <nats/nats.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    RECONNECT_MS = 100,
    PING_MS = 1000,
    CLOSE_MS = 2000,
    WRONG_LAST_SEQUENCE = 10071,
    FEED_PENDING = 65536,
    FEED_BYTES = 64 * 1024 * 1024,
    FEED_HEARTBEAT_S = 5,
    AWAIT_TRIES = 200,
    AWAY_US = 1000000,
};

struct bus {
    const struct conf *conf;
    natsConnection *connection;
    jsCtx *jetstream;
    atomic_uint epoch;
    unsigned epoch_seen;
    int64_t away_since; /* clock_steady, 0 for a connection that stands */
    bool away_said;
    struct bus_feed *retired; /* to be destroyed with the connection */
};

struct bus_feed {
    struct bus *bus;
    natsSubscription *subscription;
    char consumer[64]; /* its name */
    struct bus_feed *next; /* of those that are retired */
};

static void on_reconnected(natsConnection *connection, void *closure)
{
    (void)connection;
    struct bus *bus = closure;
    atomic_fetch_add(&bus->epoch, 1);
}

static void on_error(natsConnection *connection, natsSubscription *subscription, natsStatus status, void *closure)
{
    (void)connection;
    (void)subscription;
    (void)closure;
    /* A feed that falls behind loses messages here; the tail sees the gap and reads the log. */
    log_debug("bus: %s", natsStatus_GetText(status));
}

static int unavailable(natsStatus status, const char *what, struct err *err)
{
    return fail(err, ERR_UNAVAILABLE, "bus: %s: %s", what, natsStatus_GetText(status));
}

static natsStatus connect_now(struct bus *bus)
{
    natsOptions *options = NULL;
    natsStatus s = natsOptions_Create(&options);
    if (s == NATS_OK)
        s = natsOptions_SetURL(options, bus->conf->nats_url);
    if (s == NATS_OK)
        s = natsOptions_SetRetryOnFailedConnect(options, true, on_reconnected, bus);
    if (s == NATS_OK)
        s = natsOptions_SetReconnectedCB(options, on_reconnected, bus);
    if (s == NATS_OK)
        s = natsOptions_SetErrorHandler(options, on_error, bus);
    if (s == NATS_OK)
        s = natsOptions_SetMaxReconnect(options, -1);
    if (s == NATS_OK)
        s = natsOptions_SetReconnectWait(options, RECONNECT_MS);
    if (s == NATS_OK)
        s = natsOptions_SetReconnectJitter(options, RECONNECT_MS / 4, RECONNECT_MS / 4);
    if (s == NATS_OK)
        s = natsOptions_SetPingInterval(options, PING_MS);
    if (s == NATS_OK)
        s = natsOptions_SetMaxPingsOut(options, 2);
    if (s == NATS_OK)
        s = natsConnection_Connect(&bus->connection, options);
    natsOptions_Destroy(options);
    return s == NATS_NOT_YET_CONNECTED ? NATS_OK : s;
}

int bus_open(struct bus **bus, const struct conf *conf, struct err *err)
{
    struct bus *b = *bus = calloc(1, sizeof *b);
    jsOptions options;
    if (b == NULL)
        return fail(err, ERR_UNAVAILABLE, "bus: no memory");
    b->conf = conf;
    jsOptions_Init(&options);
    options.Wait = conf->nats_timeout_ms;
    natsStatus s = connect_now(b);
    if (s == NATS_OK)
        s = natsConnection_JetStream(&b->jetstream, b->connection, &options);
    if (s == NATS_OK)
        return 0;
    unavailable(s, "cannot start", err);
    bus_close(bus);
    return -1;
}

void bus_close(struct bus **bus)
{
    if (*bus == NULL)
        return;
    jsCtx_Destroy((*bus)->jetstream);
    /* Close first, so that no callback finds the bus gone. */
    if ((*bus)->connection != NULL)
        natsConnection_Close((*bus)->connection);
    for (struct bus_feed *next, *feed = (*bus)->retired; feed != NULL; feed = next) {
        next = feed->next;
        natsSubscription_Destroy(feed->subscription);
        free(feed);
    }
    natsConnection_Destroy((*bus)->connection);
    free(*bus);
    *bus = NULL;
}

void bus_end(void)
{
    /* Its threads go on for a moment, and would find the process half gone. */
    nats_CloseAndWait(CLOSE_MS);
}

bool bus_connected(const struct bus *bus)
{
    return natsConnection_Status(bus->connection) == NATS_CONN_STATUS_CONNECTED;
}

void bus_watch(struct bus *bus)
{
    int64_t now = clock_steady();
    if (bus_connected(bus)) {
        if (bus->away_said)
            log_info("bus: NATS is there again");
        bus->away_since = 0;
        bus->away_said = false;
        return;
    }
    if (bus->away_since == 0)
        bus->away_since = now;
    if (!bus->away_said && now - bus->away_since > AWAY_US) {
        log_warning("bus: NATS cannot be reached; what happens waits in the log");
        bus->away_said = true;
    }
}

int64_t bus_patience(const struct bus *bus)
{
    return bus->conf->nats_timeout_ms * 1000;
}

unsigned bus_epoch(const struct bus *bus)
{
    return atomic_load(&bus->epoch);
}

bool bus_reconnected(struct bus *bus)
{
    unsigned before = bus->epoch_seen;
    bus->epoch_seen = bus_epoch(bus);
    return bus->epoch_seen != before;
}

/* Limits retention without limits: anything else could roll the last sequence back or refuse to grow. */
static natsStatus make_stream(struct bus *bus)
{
    char subject[CONF_TEXT + 2];
    const char *subjects[] = {subject};
    jsStreamConfig config;
    snprintf(subject, sizeof subject, "%s.>", bus->conf->nats_subject);
    jsStreamConfig_Init(&config);
    config.Name = bus->conf->nats_stream;
    config.Subjects = subjects;
    config.SubjectsLen = 1;
    config.Retention = js_LimitsPolicy;
    config.Storage = js_FileStorage;
    config.Discard = js_DiscardOld;
    config.DenyDelete = true;
    return js_AddStream(NULL, bus->jetstream, &config, NULL, NULL);
}

int bus_state(struct bus *bus, int64_t *first, int64_t *last, struct err *err)
{
    jsStreamInfo *info = NULL;
    jsErrCode code = 0;
    if (!bus_connected(bus))
        return fail(err, ERR_UNAVAILABLE, "bus: not connected");
    natsStatus s = js_GetStreamInfo(&info, bus->jetstream, bus->conf->nats_stream, NULL, &code);
    if (s == NATS_NOT_FOUND)
        return fail(err, ERR_ABSENT, "bus: there is no stream %.64s", bus->conf->nats_stream);
    if (s != NATS_OK)
        return unavailable(s, "the stream's state", err);
    *first = (int64_t)info->State.FirstSeq;
    *last = (int64_t)info->State.LastSeq;
    jsStreamInfo_Destroy(info);
    return 0;
}

int bus_last(struct bus *bus, int64_t *last, struct err *err)
{
    int64_t first;
    int status = bus_state(bus, &first, last, err);
    if (status == 0 || err->kind != ERR_ABSENT)
        return status;
    natsStatus s = make_stream(bus);
    return s == NATS_OK ? bus_state(bus, &first, last, err) : unavailable(s, "making the stream", err);
}

int bus_delete(struct bus *bus, struct err *err)
{
    natsStatus s = js_DeleteStream(bus->jetstream, bus->conf->nats_stream, NULL, NULL);
    return s == NATS_OK || s == NATS_NOT_FOUND ? 0 : unavailable(s, "deleting the stream", err);
}

int bus_await(struct bus *bus, struct err *err)
{
    const struct timespec moment = {0, 10000000};
    for (int i = 0; i < AWAIT_TRIES; i++) {
        if (bus_connected(bus))
            return 0;
        nanosleep(&moment, NULL);
    }
    /* A password may stand before the @. */
    const char *url = bus->conf->nats_url, *host = strrchr(url, '@');
    return fail(err, ERR_UNAVAILABLE, "bus: %.200s cannot be reached", host != NULL ? host + 1 : url);
}

static natsStatus make_message(struct bus *bus, struct arena *arena, const struct envelope *event, natsMsg **message)
{
    char subject[CONF_TEXT + 80], expected[24];
    struct str text = event_message(arena, event);
    if (text.data == NULL)
        return NATS_NO_MEMORY;
    snprintf(subject, sizeof subject, "%s.%.64s", bus->conf->nats_subject, event->type);
    snprintf(expected, sizeof expected, "%" PRId64, event->position - 1);
    natsStatus s = natsMsg_Create(message, subject, NULL, text.data, (int)text.len);
    if (s == NATS_OK)
        s = natsMsgHeader_Set(*message, "Nats-Expected-Last-Sequence", expected);
    return s;
}

/* A planted crash: the first message of a batch is on the bus, the others are not yet on their way. */
static void die_if_due(const struct bus *bus, size_t sent)
{
    if (sent == 1 && fault_due("mid-publish")) {
        natsConnection_Flush(bus->connection);
        raise(SIGKILL);
    }
}

/* Only the last message of a batch asks for an answer: a refusal before it refuses it too. */
static natsStatus send_all(struct bus *bus, struct arena *arena, const struct envelope *events, size_t count,
                           natsMsg **answer)
{
    natsStatus s = NATS_OK;
    for (size_t i = 0; s == NATS_OK && i < count; i++) {
        natsMsg *message = NULL;
        s = make_message(bus, arena, &events[i], &message);
        if (s == NATS_OK && i + 1 < count)
            s = natsConnection_PublishMsg(bus->connection, message);
        else if (s == NATS_OK)
            s = natsConnection_RequestMsg(answer, bus->connection, message, bus->conf->nats_timeout_ms);
        natsMsg_Destroy(message);
        die_if_due(bus, i + 1);
    }
    return s;
}

/*
 * One answer: «{"stream":…,"seq":N}», or «{"error":{"err_code":10071,"description":"wrong last sequence: N"},"seq":0}».
 * Both hold "seq", so the error is looked at first.
 */
static int read_answer(const char *text, size_t len, int64_t *last, struct err *err)
{
    struct json_object *answer = json_read(text, len, err), *error = NULL, *code = NULL, *seq = NULL;
    if (answer == NULL)
        return -1;
    int status = 0;
    if (json_object_object_get_ex(answer, "error", &error)) {
        struct str why = json_string(error, "description");
        const char *colon = why.data != NULL ? strrchr(why.data, ':') : NULL;
        json_object_object_get_ex(error, "err_code", &code);
        if (code != NULL && json_object_get_int(code) == WRONG_LAST_SEQUENCE && colon != NULL) {
            *last = strtoll(colon + 1, NULL, 10);
            status = fail(err, ERR_CONFLICT, "bus: its last sequence is %" PRId64, *last);
        } else {
            status = fail(err, ERR_UNAVAILABLE, "bus: %.200s", why.data != NULL ? why.data : "an error without a text");
        }
    } else if (json_object_object_get_ex(answer, "seq", &seq)) {
        *last = json_object_get_int64(seq);
    } else {
        status = fail(err, ERR_UNAVAILABLE, "bus: an answer without a sequence");
    }
    json_object_put(answer);
    return status;
}

int bus_publish(struct bus *bus, struct arena *arena, const struct envelope *events, size_t count, int64_t *last,
                struct err *err)
{
    natsMsg *answer = NULL;
    *last = -1;
    if (!bus_connected(bus))
        return fail(err, ERR_UNAVAILABLE, "bus: not connected");
    natsStatus s = send_all(bus, arena, events, count, &answer);
    if (s == NATS_NO_RESPONDERS) {
        return fail(err, ERR_ABSENT, "bus: no stream takes the subject %.64s (nats.subject)", bus->conf->nats_subject);
    }
    if (s != NATS_OK)
        return unavailable(s, "publish", err);
    int status = read_answer(natsMsg_GetData(answer), (size_t)natsMsg_GetDataLength(answer), last, err);
    natsMsg_Destroy(answer);
    return status;
}

int bus_get(struct bus *bus, struct arena *arena, int64_t sequence, struct envelope *event, struct err *err)
{
    natsMsg *message = NULL;
    natsStatus s = js_GetMsg(&message, bus->jetstream, bus->conf->nats_stream, (uint64_t)sequence, NULL, NULL);
    if (s == NATS_NOT_FOUND)
        return fail(err, ERR_ABSENT, "bus: there is no message %" PRId64, sequence);
    if (s != NATS_OK)
        return unavailable(s, "get", err);
    int status =
        event_from_message(arena, natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message), event, err);
    natsMsg_Destroy(message);
    return status;
}

/* What every reading asks of the stream. subject: room for the name. */
static void init_consumer(const struct bus *bus, int64_t from, char subject[CONF_TEXT + 2], jsConsumerConfig *consumer)
{
    snprintf(subject, CONF_TEXT + 2, "%s.>", bus->conf->nats_subject);
    jsConsumerConfig_Init(consumer);
    consumer->FilterSubject = subject;
    consumer->DeliverPolicy = js_DeliverByStartSequence;
    consumer->OptStartSeq = (uint64_t)from;
    consumer->AckPolicy = js_AckNone;
    consumer->MemoryStorage = true;
}

/*
 * A consumer, and then a subscription that is bound to it. In one call libnats subscribes first, and where the consumer
 * cannot be made in time it destroys the subscription that messages are on their way to (see bus_unsubscribe). A
 * consumer that nobody reads is taken away by the server.
 */
static natsStatus bind(struct bus_feed *f, jsConsumerConfig *consumer)
{
    jsSubOptions options;
    jsConsumerInfo *info = NULL;
    struct bus *bus = f->bus;
    const char *stream = bus->conf->nats_stream;
    natsStatus s = js_AddConsumer(&info, bus->jetstream, stream, consumer, NULL, NULL);
    if (s != NATS_OK)
        return s;
    jsSubOptions_Init(&options);
    options.Stream = stream;
    options.Consumer = info->Name;
    options.ManualAck = true;
    options.Config = *consumer; /* libnats wants to hear once more what it is to find */
    snprintf(f->consumer, sizeof f->consumer, "%s", info->Name);
    s = consumer->DeliverSubject != NULL
            ? js_SubscribeSync(&f->subscription, bus->jetstream, consumer->FilterSubject, NULL, &options, NULL)
            : js_PullSubscribe(&f->subscription, bus->jetstream, consumer->FilterSubject, NULL, NULL, &options, NULL);
    jsConsumerInfo_Destroy(info);
    return s;
}

static struct bus_feed *new_feed(struct bus *bus, struct err *err)
{
    struct bus_feed *f = NULL;
    if (!bus_connected(bus))
        fail(err, ERR_UNAVAILABLE, "bus: not connected");
    else if ((f = calloc(1, sizeof *f)) == NULL)
        fail(err, ERR_UNAVAILABLE, "bus: no memory");
    else
        f->bus = bus;
    return f;
}

int bus_subscribe(struct bus *bus, int64_t from, struct bus_feed **feed, struct err *err)
{
    char subject[CONF_TEXT + 2];
    jsConsumerConfig consumer;
    natsInbox *inbox = NULL;
    *feed = NULL;
    struct bus_feed *f = new_feed(bus, err);
    if (f == NULL)
        return -1;
    init_consumer(bus, from, subject, &consumer);
    /* The server waits for a reader that is behind, so that nothing is dropped here. */
    consumer.FlowControl = true;
    consumer.Heartbeat = (int64_t)FEED_HEARTBEAT_S * 1000000000;
    natsStatus s = natsInbox_Create(&inbox);
    consumer.DeliverSubject = inbox;
    if (s == NATS_OK)
        s = bind(f, &consumer);
    if (s == NATS_OK)
        s = natsSubscription_SetPendingLimits(f->subscription, FEED_PENDING, FEED_BYTES);
    natsInbox_Destroy(inbox);
    if (s != NATS_OK) {
        bus_unsubscribe(&f);
        return unavailable(s, "subscribe", err);
    }
    *feed = f;
    return 0;
}

bool bus_waiting(const struct bus_feed *feed)
{
    uint64_t count = 0;
    return natsSubscription_QueuedMsgs(feed->subscription, &count) == NATS_OK && count > 0;
}

/*
 * libnats before 3.6 may use a subscription that is destroyed while a message for it is on its way (nats.c issue 637).
 * The answer to a ping comes after whatever was on its way; where none comes, the subscription is kept until the
 * connection is closed.
 */
void bus_unsubscribe(struct bus_feed **feed)
{
    struct bus_feed *f = *feed;
    *feed = NULL;
    if (f == NULL)
        return;
    if (f->subscription != NULL) {
        natsSubscription_Unsubscribe(f->subscription);
        if (natsConnection_FlushTimeout(f->bus->connection, f->bus->conf->nats_timeout_ms) != NATS_OK) {
            f->next = f->bus->retired;
            f->bus->retired = f;
            return;
        }
        js_DeleteConsumer(f->bus->jetstream, f->bus->conf->nats_stream, f->consumer, NULL, NULL);
    }
    natsSubscription_Destroy(f->subscription);
    free(f);
}

/* 0 and the event of a message, which is destroyed in any case. */
static int take(natsMsg *message, struct arena *arena, struct envelope *event, struct err *err)
{
    jsMsgMetaData *meta = NULL;
    natsStatus s = natsMsg_GetMetaData(&meta, message);
    int status = s == NATS_OK ? event_from_message(arena, natsMsg_GetData(message),
                                                   (size_t)natsMsg_GetDataLength(message), event, err)
                              : unavailable(s, "a message without a sequence", err);
    if (status == 0 && (uint64_t)event->position != meta->Sequence.Stream)
        status = fail(err, ERR_MALFORMED, "bus: sequence %" PRIu64 " holds position %" PRId64, meta->Sequence.Stream,
                      event->position);
    jsMsgMetaData_Destroy(meta);
    natsMsg_Destroy(message);
    return status;
}

int bus_next(struct bus_feed *feed, struct arena *arena, int64_t timeout_us, struct envelope *event, struct err *err)
{
    natsMsg *message = NULL;
    int64_t millis = timeout_us / 1000;
    natsStatus s = natsSubscription_NextMsg(&message, feed->subscription, millis > 0 ? millis : 1);
    if (s == NATS_TIMEOUT)
        return 0;
    if (s != NATS_OK)
        return unavailable(s, "feed", err);
    return take(message, arena, event, err) == 0 ? 1 : -1;
}

/* Those that come next, in order; the first that does not ends them. */
static void take_all(natsMsgList *list, struct arena *arena, int64_t from, struct envelope *events, size_t *got)
{
    struct err err;
    bool whole = true;
    for (int i = 0; i < list->Count; i++) {
        natsMsg *message = list->Msgs[i];
        list->Msgs[i] = NULL;
        if (!whole)
            natsMsg_Destroy(message);
        else if ((whole =
                      take(message, arena, &events[*got], &err) == 0 && events[*got].position == from + (int64_t)*got))
            ++*got;
    }
}

int bus_read(struct bus *bus, struct arena *arena, int64_t from, size_t count, size_t bytes, struct envelope *events,
             size_t *got, struct err *err)
{
    char subject[CONF_TEXT + 2];
    jsConsumerConfig consumer;
    jsFetchRequest request;
    natsMsgList list = {0};
    *got = 0;
    struct bus_feed *feed = new_feed(bus, err);
    if (feed == NULL)
        return -1;
    init_consumer(bus, from, subject, &consumer);
    natsStatus s = bind(feed, &consumer);
    jsFetchRequest_Init(&request);
    request.Batch = (int)count;
    request.MaxBytes = (int64_t)bytes;
    request.Expires = (int64_t)bus->conf->nats_timeout_ms * 1000000;
    if (s == NATS_OK)
        s = natsSubscription_FetchRequest(&list, feed->subscription, &request);
    take_all(&list, arena, from, events, got);
    natsMsgList_Destroy(&list);
    bus_unsubscribe(&feed);
    return s == NATS_OK || s == NATS_TIMEOUT ? 0 : unavailable(s, "read", err);
}

static int compare(natsMsg *message, const struct envelope *event, struct str expected, struct err *err)
{
    jsMsgMetaData *meta = NULL;
    natsStatus s = natsMsg_GetMetaData(&meta, message);
    if (s != NATS_OK)
        return unavailable(s, "a message without a sequence", err);
    bool in_place = meta->Sequence.Stream == (uint64_t)event->position;
    jsMsgMetaData_Destroy(meta);
    if (!in_place)
        return fail(err, ERR_MALFORMED, "position %" PRId64 ": the bus has no message there", event->position);
    if ((size_t)natsMsg_GetDataLength(message) == expected.len &&
        memcmp(natsMsg_GetData(message), expected.data, expected.len) == 0)
        return 1;
    return fail(err, ERR_MALFORMED, "position %" PRId64 ": the bus holds something else there", event->position);
}

int bus_next_is(struct bus_feed *feed, struct arena *arena, int64_t timeout_us, const struct envelope *event,
                struct err *err)
{
    natsMsg *message = NULL;
    struct str expected = event_message(arena, event);
    if (expected.data == NULL)
        return fail(err, ERR_UNAVAILABLE, "no room for a message");
    natsStatus s = natsSubscription_NextMsg(&message, feed->subscription, timeout_us / 1000);
    if (s == NATS_TIMEOUT)
        return 0;
    if (s != NATS_OK)
        return unavailable(s, "feed", err);
    int status = compare(message, event, expected, err);
    natsMsg_Destroy(message);
    return status;
}
