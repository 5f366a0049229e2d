/* A client: its life, and what is sent to it. See stream.h. */
#include "notifier/stream.h"

#include "base/clock.h"
#include "base/crypt.h"
#include "http/head.h"
#include "notifier/request.h"
#include "notifier/server.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    PIECES = 128,
    WRITES_A_TURN = 4,
    REQUEST_US = 10000000,
    ANSWER_US = 6000000,
    CHECK_US = 60000000,       /* for a session that ends without an event: its key was voided, its time is over */
    CHECK_DIRECT_US = 2000000, /* where no session ends by one */
};

/* What one write is to send. */
struct load {
    struct iovec vectors[2 * PIECES];
    struct piece {
        struct record *record; /* NULL for text */
        size_t len;            /* of what is left of it */
    } pieces[PIECES];
    size_t vector_count, count, bytes;
    int64_t reached; /* the cursor when all of it is sent */
};

const struct actor *stream_reader(const struct stream *stream)
{
    return stream->identity != NULL ? &stream->identity->actor : &ANONYMOUS;
}

static void count(struct stream *stream, enum counter counter)
{
    count_add(&stream->loop->counters, counter, 1);
}

static bool wanted(const struct stream *stream, struct record *record)
{
    const struct topic *topics = stream->topics != NULL ? stream->topics : TOPICS_STANDARD;
    if (!topics_have(topics, stream->topics != NULL ? stream->topic_count : 1, record))
        return false;
    if (record->public && !withdrawn_hides(stream->loop->server->withdrawn, record))
        return true;
    return stream->identity != NULL && audience_admits(record->audience, &stream->identity->actor, true);
}

static void add(struct load *load, const char *data, size_t len)
{
    if (len > 0)
        load->vectors[load->vector_count++] = (struct iovec){(void *)(uintptr_t)data, len};
}

/* What is left of a part of a record when `skip` bytes of it and what stands before are out. */
static void add_part(struct load *load, struct str part, size_t *skip)
{
    size_t out = *skip < part.len ? *skip : part.len;
    add(load, part.data + out, part.len - out);
    *skip -= out;
}

static void add_record(struct load *load, const struct stream *stream, struct record *record, size_t skip)
{
    bool whole = stream->identity != NULL && actor_sees_metadata(&stream->identity->actor, record->acting_user);
    size_t len = (whole ? record->shared + record->rest.len : record->text.len) - skip;
    add_part(load, whole ? (struct str){record->text.data, record->shared} : record->text, &skip);
    if (whole)
        add_part(load, record->rest, &skip);
    load->pieces[load->count++] = (struct piece){record, len};
    load->bytes += len;
}

static void add_text(struct load *load, const struct stream *stream)
{
    size_t len = stream->text_len - stream->text_sent;
    add(load, stream->text + stream->text_sent, len);
    load->pieces[load->count++] = (struct piece){NULL, len};
    load->bytes += len;
}

/* The record of a position past the cursor; NULL where neither chunk nor ring has it. */
static struct record *record_at(const struct stream *stream, const struct chunk *chunk, int64_t position)
{
    const struct hub *hub = stream->loop->hub;
    if (position >= hub_first(hub))
        return position <= hub_last(hub) ? hub_at(hub, position) : NULL;
    return chunk_at(chunk, position);
}

static void fill(struct stream *stream, const struct chunk *chunk, struct load *load)
{
    size_t most = (size_t)server_conf(stream->loop->server)->notifier_client_buffer;
    struct record *record;
    load->vector_count = load->count = load->bytes = 0;
    load->reached = stream->cursor;
    if (stream->partial != NULL)
        add_record(load, stream, stream->partial, stream->sent);
    if (stream->text != NULL)
        add_text(load, stream);
    while (stream->streaming && load->count < PIECES && load->bytes < most &&
           (record = record_at(stream, chunk, load->reached + 1)) != NULL) {
        load->reached++;
        if (wanted(stream, record))
            add_record(load, stream, record, 0);
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

/* Moves on by the bytes that the socket took. True when it took all. */
static bool advance(struct stream *stream, const struct load *load, size_t taken)
{
    uint64_t deliveries = 0;
    count_add(&stream->loop->counters, COUNT_BYTES, taken);
    for (size_t i = 0; i < load->count; i++) {
        struct record *record = load->pieces[i].record;
        size_t len = load->pieces[i].len;
        if (taken < len) {
            if (record == NULL)
                stream->text_sent += taken;
            else if (taken > 0)
                stop_within(stream, record, taken);
            count_add(&stream->loop->counters, COUNT_DELIVERIES, deliveries);
            return false;
        }
        taken -= len;
        deliveries += record != NULL;
        if (record == NULL)
            drop_text(stream);
        else if (record == stream->partial)
            record_drop(&stream->partial);
        else
            stream->cursor = record->position;
    }
    count_add(&stream->loop->counters, COUNT_DELIVERIES, deliveries);
    stream->cursor = load->reached;
    return true;
}

static void wait_until_writable(struct stream *stream)
{
    stream->blocked = true;
    event_add(&stream->writable, NULL);
}

/* Sends a load: 1 all of it is out, 0 the socket is full, -1 the client has gone. */
static int send_load(struct stream *stream, const struct load *load)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)load->vectors, .msg_iovlen = load->vector_count};
    ssize_t taken = sendmsg(stream->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (taken < 0 && errno != EAGAIN && errno != EINTR)
        return -1;
    count(stream, COUNT_WRITES);
    if (taken > 0)
        stream->since = clock_steady();
    return advance(stream, load, taken > 0 ? (size_t)taken : 0);
}

static bool behind_ring(const struct stream *stream)
{
    return stream->streaming && stream->cursor + 1 < hub_first(stream->loop->hub);
}

/* The chunk that goes on at the cursor, from memory; NULL: there is none, or none is needed. */
static void find_chunk(struct stream *stream, struct chunk **chunk)
{
    if (!behind_ring(stream) || chunk_at(*chunk, stream->cursor + 1) != NULL)
        return;
    chunk_drop(chunk);
    *chunk = history_find(stream->loop->server->history, stream->cursor);
    if (*chunk != NULL)
        count(stream, COUNT_READS_MEMORY);
}

/* The cursor is where neither memory nor ring goes on: the bus or the log does. */
static void ask_history(struct stream *stream)
{
    if (!behind_ring(stream)) {
        stream->behind = false;
        return;
    }
    if (!stream->behind)
        count(stream, COUNT_CATCHUP);
    stream->behind = true;
    if (stream->wish != NULL)
        return;
    struct wish *wish = wish_new(WISH_EVENTS, stream->loop, stream, NULL);
    if (wish == NULL)
        return; /* the next second asks again */
    wish->after = stream->cursor;
    wish->upto = hub_last(stream->loop->hub);
    stream->wish = wish;
    history_ask(stream->loop->server->history, wish);
}

/* 1 there is no more to send, 0 it waits, -1 the client has gone. */
static int send_all(struct stream *stream, struct chunk **chunk)
{
    struct load load;
    for (int writes = 0;; writes++) {
        if (stream->streaming)
            find_chunk(stream, chunk);
        fill(stream, *chunk, &load);
        if (load.count == 0 && load.reached == stream->cursor)
            return 1;
        if (load.count == 0) {
            stream->cursor = load.reached; /* What it may not see is passed over without a byte. */
            continue;
        }
        /* Others have their turn. */
        if (writes >= WRITES_A_TURN) {
            wait_until_writable(stream);
            return 0;
        }
        int sent = send_load(stream, &load);
        if (sent < 0)
            return -1;
        if (sent == 0) {
            if (stream->streaming)
                count(stream, COUNT_SLOW);
            wait_until_writable(stream);
            return 0;
        }
    }
}

static void pump(struct stream *stream, struct chunk **chunk)
{
    if (stream->blocked)
        return;
    int done = send_all(stream, chunk);
    if (done < 0 || (done > 0 && stream->closing))
        stream_end(stream);
    else if (done > 0 && stream->streaming)
        ask_history(stream);
}

void stream_pump(struct stream *stream)
{
    struct chunk *chunk = NULL;
    pump(stream, &chunk);
    chunk_drop(&chunk);
}

bool stream_say(struct stream *stream, const char *text, size_t len)
{
    char *whole = realloc(stream->text, stream->text_len + len);
    if (whole == NULL)
        return false;
    memcpy(whole + stream->text_len, text, len);
    stream->text = whole;
    stream->text_len += len;
    return true;
}

void stream_dismiss(struct stream *stream, const char *text)
{
    stream->streaming = false;
    stream->closing = stream_say(stream, text, strlen(text));
    if (stream->closing)
        stream_pump(stream);
    else
        stream_end(stream);
}

void stream_send_away(struct stream *stream, unsigned spread_ms)
{
    char text[32];
    snprintf(text, sizeof text, "retry: %u\n\n", request_retry(1000, spread_ms));
    stream_dismiss(stream, text);
}

/* ---- its life ---- */

/* What comes after the head is of no interest, but its end is. */
static void read_rest(struct stream *stream)
{
    char nothing[1024];
    ssize_t got = recv(stream->fd, nothing, sizeof nothing, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        stream_end(stream);
}

static void drop_input(struct stream *stream)
{
    if (stream->input != NULL)
        crypt_wipe(stream->input, stream->input_room);
    free(stream->input);
    stream->input = NULL;
    stream->input_len = stream->input_room = 0;
}

/* Keeps what has come; false when there is no memory. */
static bool keep_input(struct stream *stream, const char *text, size_t len, size_t room)
{
    char *input = malloc(room);
    if (input == NULL)
        return false;
    memcpy(input, text, len);
    drop_input(stream);
    stream->input = input;
    stream->input_len = len;
    stream->input_room = room;
    return true;
}

/* A whole head, or a part of one. Most come whole, in one piece. */
static void take_input(struct stream *stream, const char *text, size_t len)
{
    size_t head = http_head_length(text, len);
    bool kept = true;
    if (head == 0 && len < HEAD_MOST) {
        if (text != stream->input && !keep_input(stream, text, len, HEAD_MOST))
            stream_end(stream);
        return;
    }
    if (head > 0)
        request_answer(stream, text, head);
    else
        request_refuse_size(stream);
    if (!stream->asking)
        drop_input(stream);
    else if (text != stream->input)
        kept = keep_input(stream, text, head, head);
    if (kept)
        stream_pump(stream);
    else
        stream_end(stream);
}

static void read_head(struct stream *stream)
{
    struct loop *loop = stream->loop;
    char *at = stream->input != NULL ? stream->input : loop->head;
    ssize_t got = recv(stream->fd, at + stream->input_len, HEAD_MOST - stream->input_len, MSG_DONTWAIT);
    if (got <= 0) {
        if (got == 0 || (errno != EAGAIN && errno != EINTR))
            stream_end(stream);
        return;
    }
    size_t len = stream->input_len + (size_t)got;
    if (stream->input != NULL)
        stream->input_len = len;
    arena_reset(loop->arena);
    take_input(stream, at, len);
    arena_reset(loop->arena);
    crypt_wipe(loop->head, len);
    crypt_wipe_stack();
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct stream *stream = context;
    if (stream->streaming || stream->closing || stream->asking)
        read_rest(stream);
    else
        read_head(stream);
}

static void on_writable(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct stream *stream = context;
    stream->blocked = false;
    stream_pump(stream);
}

bool stream_new(struct loop *loop, int fd, const struct address *address, bool status)
{
    struct stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL) {
        close(fd);
        return false;
    }
    *stream = (struct stream){.loop = loop,
                              .fd = fd,
                              .address = *address,
                              .status = status,
                              .since = clock_steady(),
                              .head = -1,
                              .next = loop->streams};
    if (loop->streams != NULL)
        loop->streams->previous = stream;
    loop->streams = stream;
    event_assign(&stream->readable, loop->base, fd, EV_READ | EV_PERSIST, on_readable, stream);
    event_assign(&stream->writable, loop->base, fd, EV_WRITE, on_writable, stream);
    event_add(&stream->readable, NULL);
    return true;
}

/* Whoever grants it finds nobody. */
static void forget_wish(struct wish **wish)
{
    if (*wish != NULL)
        (*wish)->client = NULL;
    *wish = NULL;
}

void stream_end(struct stream *stream)
{
    struct loop *loop = stream->loop;
    event_del(&stream->readable);
    event_del(&stream->writable);
    close(stream->fd);
    if (stream->previous != NULL)
        stream->previous->next = stream->next;
    else
        loop->streams = stream->next;
    if (stream->next != NULL)
        stream->next->previous = stream->previous;
    if (stream->counted)
        places_give_back(loop->server->places, stream_reader(stream)->user_id, &stream->address);
    atomic_fetch_sub(&loop->clients, 1);
    forget_wish(&stream->wish);
    forget_wish(&stream->check);
    record_drop(&stream->partial);
    drop_input(stream);
    free(stream->text);
    free(stream->topics);
    identity_free(&stream->identity);
    free(stream);
}

/* Its request is answered again, now that it is known what was asked. */
static void answer_again(struct stream *stream)
{
    struct loop *loop = stream->loop;
    stream->asking = false;
    arena_reset(loop->arena);
    take_input(stream, stream->input, stream->input_len);
    arena_reset(loop->arena);
    crypt_wipe_stack();
}

/* What has happened since it was asked, and would have ended the stream, is in the ring. */
static void take_identity(struct stream *stream, struct wish *wish)
{
    const struct hub *hub = stream->loop->hub;
    stream->identity = wish->identity;
    wish->identity = NULL;
    if (stream->identity == NULL || stream->identity->outcome != IDENTITY_FOUND)
        return;
    for (int64_t p = wish->after + 1; p <= hub_last(hub); p++)
        if (p < hub_first(hub) || record_ends(hub_at(hub, p), &stream->identity->actor)) {
            stream->identity->outcome = IDENTITY_UNKNOWN;
            return;
        }
}

/* Its session is over, or gives it other permissions: then it comes back, and is asked anew. */
static void take_check(struct stream *stream, const struct wish *wish)
{
    if (!stream->streaming || wish->failed || wish->identity == NULL)
        return; /* asked again at the next time */
    const struct identity *found = wish->identity;
    if (found->outcome == IDENTITY_REFUSED) {
        count(stream, COUNT_EXPIRED);
        stream_dismiss(stream, REQUEST_EXPIRED);
    } else if (found->outcome == IDENTITY_FOUND &&
               strcmp(found->actor.permissions, stream->identity->actor.permissions) != 0) {
        stream_send_away(stream, 1000);
    }
}

/* Asks anew whether its session goes on, each stream at its own times. */
static void check_session(struct stream *stream, int64_t now)
{
    bool direct = strcmp(stream->loop->server->first->features_accounts, "direct") == 0;
    unsigned pause = direct ? CHECK_DIRECT_US : CHECK_US;
    if (stream->identity == NULL || stream->check != NULL || now < stream->next_check)
        return;
    bool first = stream->next_check == 0 && !direct;
    stream->next_check = now + pause / 2 + (int64_t)request_retry(0, pause);
    if (first)
        return; /* it was asked a moment ago */
    stream->check = wish_new(WISH_SESSION, stream->loop, stream, NULL);
    if (stream->check == NULL)
        return;
    stream->check->identity = identity_new(&stream->identity->actor);
    if (stream->check->identity == NULL) {
        wish_free(stream->check);
        stream->check = NULL;
        return;
    }
    history_ask(stream->loop->server->history, stream->check);
}

void stream_granted(struct stream *stream, struct wish *wish)
{
    if (wish->kind == WISH_SESSION) {
        stream->check = NULL;
        take_check(stream, wish);
        return;
    }
    stream->wish = NULL;
    switch (wish->kind) {
    case WISH_EVENTS:
        /* What could not be read is asked for again with the next second. */
        if (!wish->failed)
            pump(stream, &wish->chunk);
        return;
    case WISH_IDENTITY:
        take_identity(stream, wish);
        break;
    case WISH_HEAD:
        stream->head = wish->head;
        stream->overdue = wish->failed;
        break;
    case WISH_READY:
        stream->ready = wish;
        break;
    case WISH_SESSION:
        return;
    }
    answer_again(stream);
}

/*
 * A heartbeat moves the browser's Last-Event-ID forward past what it may not see, and shows dead connections. Streams
 * that had the same event last have theirs at different times.
 */
static bool heartbeat_due(const struct stream *stream, int64_t now)
{
    int64_t pause = server_conf(stream->loop->server)->notifier_heartbeat_s * 1000000;
    bool silent = stream->wish != NULL || stream->cursor >= hub_last(stream->loop->hub);
    return silent && !stream->blocked && stream->partial == NULL && stream->text == NULL &&
           now - stream->since >= pause - pause / 4 * (stream->fd % 16) / 16;
}

/* No head in time; or no answer to what was asked because of it. */
static void tick_request(struct stream *stream, int64_t now)
{
    if (now - stream->since > REQUEST_US) {
        stream_end(stream);
    } else if (stream->asking && now - stream->since > ANSWER_US) {
        forget_wish(&stream->wish);
        stream->overdue = true;
        answer_again(stream);
    }
}

void stream_tick(struct stream *stream)
{
    int64_t now = clock_steady();
    char text[48];
    if (!stream->streaming) {
        tick_request(stream, now);
        return;
    }
    if (stream->identity != NULL && stream->identity->actor.expires <= clock_now()) {
        count(stream, COUNT_EXPIRED);
        stream_dismiss(stream, REQUEST_EXPIRED);
        return;
    }
    if (now >= stream->ends) {
        count(stream, COUNT_AGED);
        stream_send_away(stream, 2000);
        return;
    }
    check_session(stream, now);
    if (heartbeat_due(stream, now)) {
        int len = snprintf(text, sizeof text, "id: %" PRId64 "\n\n", stream->cursor);
        if (stream_say(stream, text, (size_t)len))
            count(stream, COUNT_HEARTBEATS);
    }
    stream_pump(stream);
}
