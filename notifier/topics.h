/*
 * What a stream is about: the topics that a client asks for, who may, and which records belong to them. A record must
 * belong to one of them and its audience must admit the reader: a topic shows nobody more.
 */
#ifndef COURANT_NOTIFIER_TOPICS_H
#define COURANT_NOTIFIER_TOPICS_H

#include "notifier/record.h"

enum { TOPICS_MOST = 20, TOPIC_KEY = ID_TEXT + 16 };

struct topic {
    const struct topic_kind *kind;
    char key[TOPIC_KEY]; /* the stream, or the user's id, that it is about; "" for a kind without one */
};

/* Those of a client that names none. */
extern const struct topic TOPICS_STANDARD[1];

/* Reads «articles», «article:<id>» and so on; false for what is none. An id is one as all of ours (base/id.h). */
bool topic_read(const char *text, struct topic *topic);

/* NULL when this reader may follow it; otherwise what it needs. */
const char *topic_needs(const struct topic *topic, const struct actor *reader);

bool topics_have(const struct topic *topics, size_t count, const struct record *record);

/* The names of all kinds, for a message. */
extern const char TOPIC_NAMES[];

#endif
