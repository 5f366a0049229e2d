/* The table of topics. See topics.h. */
#include "notifier/topics.h"

#include <stdio.h>
#include <string.h>

struct topic_kind {
    const char *name;
    const char *key; /* what stands before the id in the topic's key; NULL: it has no id */
    bool (*has)(const struct topic *topic, const struct record *record);
    const char *(*needs)(const struct topic *topic, const struct actor *reader); /* NULL: anybody may */
};

const char TOPIC_NAMES[] = "articles, article:<id>, author:<user id>, links, user:<id> and all";

static bool is_article(const struct topic *topic, const struct record *record)
{
    (void)topic;
    return record->category == CATEGORY_ARTICLE;
}

static bool is_link(const struct topic *topic, const struct record *record)
{
    (void)topic;
    return record->category == CATEGORY_LINK;
}

static bool is_canary(const struct topic *topic, const struct record *record)
{
    (void)topic;
    return record->category == CATEGORY_CANARY;
}

static bool is_any(const struct topic *topic, const struct record *record)
{
    (void)topic;
    (void)record;
    return true;
}

static bool is_of_stream(const struct topic *topic, const struct record *record)
{
    return strcmp(record->stream, topic->key) == 0;
}

/* An article's audience names its author, whatever its state. */
static bool is_by_author(const struct topic *topic, const struct record *record)
{
    return record->category == CATEGORY_ARTICLE && audience_names(record->audience, topic->key);
}

static const char *needs_account(const struct topic *topic, const struct actor *reader)
{
    (void)topic;
    return reader->user_id != NULL ? NULL : "an account";
}

static const char *needs_oneself(const struct topic *topic, const struct actor *reader)
{
    bool own = reader->user_id != NULL && strcmp(strchr(topic->key, '-') + 1, reader->user_id) == 0;
    return own || actor_may(reader, "user_admin") ? NULL : "to be that user, or the permission user_admin";
}

static const char *needs_audit(const struct topic *topic, const struct actor *reader)
{
    (void)topic;
    return actor_may(reader, "audit_read") ? NULL : "the permission audit_read";
}

/* «canary» is for the notifier itself, which asks for it to see whether events arrive. They say nothing. */
static const struct topic_kind KINDS[] = {
    {"articles", NULL, is_article, NULL},
    {"article", "article-", is_of_stream, NULL},
    {"author", "", is_by_author, NULL},
    {"links", NULL, is_link, needs_account},
    {"user", "user-", is_of_stream, needs_oneself},
    {"all", NULL, is_any, needs_audit},
    {"canary", NULL, is_canary, NULL},
};

const struct topic TOPICS_STANDARD[1] = {{&KINDS[0], ""}};

bool topic_read(const char *text, struct topic *topic)
{
    size_t name = strcspn(text, ":");
    const char *id = text[name] == ':' ? text + name + 1 : NULL;
    for (size_t i = 0; i < sizeof KINDS / sizeof KINDS[0]; i++) {
        const struct topic_kind *kind = &KINDS[i];
        if (strlen(kind->name) != name || memcmp(kind->name, text, name) != 0)
            continue;
        if ((kind->key != NULL) != (id != NULL) || (id != NULL && !id_valid(id, strlen(id))))
            return false;
        topic->kind = kind;
        snprintf(topic->key, sizeof topic->key, "%s%s", id != NULL ? kind->key : "", id != NULL ? id : "");
        return true;
    }
    return false;
}

const char *topic_needs(const struct topic *topic, const struct actor *reader)
{
    return topic->kind->needs != NULL ? topic->kind->needs(topic, reader) : NULL;
}

bool topics_have(const struct topic *topics, size_t count, const struct record *record)
{
    for (size_t i = 0; i < count; i++)
        if (topics[i].kind->has(&topics[i], record))
            return true;
    return false;
}
