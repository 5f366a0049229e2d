/* Permissions and audiences. See actor.h. */
#include "events/actor.h"

#include <stddef.h>
#include <string.h>

const struct actor ANONYMOUS = {.permissions = ""};
const struct actor OPERATOR = {.permissions = "user_admin"};

static bool has_word(const char *list, size_t len, const char *prefix, const char *word)
{
    size_t prefix_len = strlen(prefix), word_len = strlen(word);
    for (const char *at = list, *end = list + len; at < end;) {
        const char *space = memchr(at, ' ', (size_t)(end - at));
        size_t n = space != NULL ? (size_t)(space - at) : (size_t)(end - at);
        if (n == prefix_len + word_len && memcmp(at, prefix, prefix_len) == 0 &&
            memcmp(at + prefix_len, word, word_len) == 0)
            return true;
        at += n + 1;
    }
    return false;
}

bool actor_may(const struct actor *actor, const char *permission)
{
    return has_word(actor->permissions, strlen(actor->permissions), "", permission);
}

bool audience_public(const char *audience)
{
    return has_word(audience, strlen(audience), "", "public");
}

bool audience_names(const char *audience, const char *user_id)
{
    return has_word(audience, strlen(audience), "user:", user_id);
}

bool audience_admits(const char *audience, const struct actor *actor, bool withdrawn)
{
    if (!withdrawn && audience_public(audience))
        return true;
    if (actor->user_id == NULL)
        return false;
    if (audience_names(audience, actor->user_id) || actor_may(actor, "audit_read"))
        return true;
    for (const char *at = audience; (at = strstr(at, "permission:")) != NULL;) {
        char name[64];
        at += strlen("permission:");
        size_t n = strcspn(at, " ");
        if (n >= sizeof name)
            continue;
        memcpy(name, at, n);
        name[n] = '\0';
        if (actor_may(actor, name))
            return true;
    }
    return false;
}

bool actor_sees_metadata(const struct actor *actor, const char *acting_user)
{
    return actor->user_id != NULL &&
           (actor_may(actor, "audit_read") || (acting_user != NULL && strcmp(acting_user, actor->user_id) == 0));
}
