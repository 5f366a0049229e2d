/* The sending side of a client. See stream.h. */
#include "notifier/stream.h"

#include "base/clock.h"
#include "notifier/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { VECTORS = 64 };

/* What one writev is to send. */
struct load {
    struct iovec vectors[VECTORS];
    struct record *records[VECTORS]; /* NULL for text */
    size_t count, bytes;
    int64_t reached; /* the cursor when all of it is sent */
};

static bool wanted(const struct stream *stream, const struct record *record)
{
    if (stream->topic == TOPIC_ARTICLES && strncmp(record->type, "article.", 8) != 0)
        return false;
    return audience_admits(record->audience, &stream->identity.actor, record_withdrawn(record));
}

static struct str rendering(const struct stream *stream, const struct record *record)
{
    return actor_sees_metadata(&stream->identity.actor, record->acting_user) ? record->with_metadata : record->without;
}

/* The record of a position past the cursor, from the batch or the hub; NULL where neither has it. */
static struct record *record_at(const struct stream *stream, int64_t position)
{
    const struct hub *hub = stream->server->hub;
    if (stream->batch_at < stream->batch.count) {
        int64_t first = stream->batch.items[stream->batch_at]->position;
        int64_t last = stream->batch.items[stream->batch.count - 1]->position;
        if (position >= first && position <= last)
            return stream->batch.items[stream->batch_at + (size_t)(position - first)];
    }
    return position >= hub_first(hub) && position <= hub_last(hub) ? hub_at(hub, position) : NULL;
}

static void add(struct load *load, const char *data, size_t len, struct record *record)
{
    load->vectors[load->count] = (struct iovec){(void *)(uintptr_t)data, len};
    load->records[load->count++] = record;
    load->bytes += len;
}

static void fill(struct stream *stream, struct load *load)
{
    size_t most = (size_t)stream->server->conf->notifier_client_buffer;
    struct record *record;
    load->count = load->bytes = 0;
    load->reached = stream->cursor;
    if (stream->partial != NULL) {
        struct str text = rendering(stream, stream->partial);
        add(load, text.data + stream->sent, text.len - stream->sent, stream->partial);
    }
    if (stream->text != NULL)
        add(load, stream->text + stream->text_sent, stream->text_len - stream->text_sent, NULL);
    while (stream->streaming && load->count < VECTORS && load->bytes < most &&
           (record = record_at(stream, load->reached + 1)) != NULL) {
        load->reached++;
        if (wanted(stream, record)) {
            struct str text = rendering(stream, record);
            add(load, text.data, text.len, record);
        }
    }
}

static void drop_text(struct stream *stream)
{
    free(stream->text);
    stream->text = NULL;
    stream->text_len = stream->text_sent = 0;
}

/* Part of a record is out: the cursor stands on it, and it is kept until the rest has gone. */
static void stop_within(struct stream *stream, struct record *record, size_t sent)
{
    if (stream->partial == record) {
        stream->sent += sent;
        return;
    }
    stream->cursor = record->position;
    stream->partial = record_keep(record);
    stream->sent = sent;
}

static void forget_batch(struct stream *stream)
{
    while (stream->batch_at < stream->batch.count && stream->batch.items[stream->batch_at]->position <= stream->cursor)
        record_drop(&stream->batch.items[stream->batch_at++]);
    if (stream->batch_at == stream->batch.count) {
        free(stream->batch.items);
        stream->batch = (struct records){0};
        stream->batch_at = 0;
    }
}

/* Moves on by the bytes that the socket took. True when it took all. */
static bool advance(struct stream *stream, const struct load *load, size_t taken)
{
    for (size_t i = 0; i < load->count; i++) {
        struct record *record = load->records[i];
        size_t len = load->vectors[i].iov_len, part = taken < len ? taken : len;
        taken -= part;
        if (part < len) {
            if (record == NULL)
                stream->text_sent += part;
            else if (part > 0)
                stop_within(stream, record, part);
            return false;
        }
        if (record == NULL) {
            drop_text(stream);
        } else if (record == stream->partial) {
            record_drop(&stream->partial);
        } else {
            stream->cursor = record->position;
        }
    }
    stream->cursor = load->reached;
    return true;
}

static void wait_until_writable(struct stream *stream)
{
    stream->blocked = true;
    event_add(&stream->writable, NULL);
}

/* The cursor is where neither batch nor hub goes on: the log does. */
static void ask_history(struct stream *stream)
{
    const struct hub *hub = stream->server->hub;
    if (!stream->streaming || stream->wish != NULL || stream->cursor + 1 >= hub_first(hub))
        return;
    struct wish *wish = wish_new(stream, NULL);
    if (wish == NULL)
        return; /* the next turn of the clock asks again */
    wish->after = stream->cursor;
    wish->upto = hub_last(hub);
    stream->wish = wish;
    source_ask(stream->server->source, wish);
}

void stream_pump(struct stream *stream)
{
    struct load load;
    if (stream->blocked)
        return;
    for (fill(stream, &load); load.count > 0; fill(stream, &load)) {
        struct msghdr message = {.msg_iov = load.vectors, .msg_iovlen = load.count};
        ssize_t taken = sendmsg(stream->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (taken < 0 && errno != EAGAIN && errno != EINTR) {
            server_end(stream);
            return;
        }
        if (taken > 0)
            stream->since = clock_steady();
        bool all = advance(stream, &load, taken > 0 ? (size_t)taken : 0);
        forget_batch(stream);
        if (!all) {
            wait_until_writable(stream);
            return;
        }
    }
    /* What it may not see is passed over without a byte. */
    stream->cursor = load.reached;
    forget_batch(stream);
    if (stream->closing)
        server_end(stream);
    else
        ask_history(stream);
}

bool stream_say(struct stream *stream, const char *text, size_t len)
{
    if (stream->text != NULL)
        return true;
    stream->text = malloc(len);
    if (stream->text == NULL)
        return false;
    memcpy(stream->text, text, len);
    stream->text_len = len;
    stream->text_sent = 0;
    return true;
}

void stream_granted(struct stream *stream, struct wish *wish)
{
    stream->wish = NULL;
    /* None at all is a log that cannot be read to where the hub begins. The next turn of the clock asks again. */
    if (wish->failed || wish->found.count == 0)
        return;
    records_free(&stream->batch);
    stream->batch = wish->found;
    stream->batch_at = 0;
    wish->found = (struct records){0};
    stream_pump(stream);
}
