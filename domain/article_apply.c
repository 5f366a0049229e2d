/* The projections of the article streams into the table `articles`. */
#include "base/json.h"
#include "domain/article.h"

#include <string.h>

static struct str copied(struct arena *arena, struct str text)
{
    return (struct str){text.data != NULL ? arena_copy(arena, text.data, text.len) : NULL, text.len};
}

int article_of_event(const struct envelope *event, struct arena *arena, struct article *article, struct err *err)
{
    struct json_object *data = json_read(event->data.data, event->data.len, err), *author = NULL;
    if (data == NULL)
        return -1;
    json_object_object_get_ex(data, "author", &author);
    *article = (struct article){.id = copied(arena, json_string(data, "id")).data,
                                .author_id = copied(arena, json_string(author, "id")).data,
                                .author_name = copied(arena, json_string(author, "username")).data,
                                .status = "draft",
                                .title = copied(arena, json_string(data, "title")),
                                .subtitle = copied(arena, json_string(data, "subtitle")),
                                .lead = copied(arena, json_string(data, "lead")),
                                .content = copied(arena, json_string(data, "content")),
                                .tags = copied(arena, json_member(event->data, "tags")),
                                .version = event->version,
                                .created_at = event->recorded_at,
                                .updated_at = event->recorded_at,
                                .published_at = INT64_MIN};
    json_object_put(data);
    if (article->id == NULL || article->author_id == NULL || article->author_name == NULL ||
        article->title.data == NULL || article->subtitle.data == NULL || article->lead.data == NULL ||
        article->content.data == NULL || article->tags.data == NULL)
        return fail(err, ERR_INTERNAL, "an article.created event lacks a member");
    return 0;
}

int article_created(struct sql_batch *batch, const struct envelope *event, struct arena *arena, struct err *err)
{
    struct article article;
    if (article_of_event(event, arena, &article, err) != 0)
        return -1;
    struct sql_arg moment = sql_moment(batch, event->recorded_at);
    sql_batch_add(batch,
                  "INSERT INTO articles (id, author_id, author_name, status, title, subtitle, lead, content, tags, "
                  "version, created_at, updated_at) VALUES (?, ?, ?, 'draft', ?, ?, ?, ?, ?, ?, ?, ?)",
                  SQL_ARGS(SQL_TEXT(article.id), SQL_TEXT(article.author_id), SQL_TEXT(article.author_name),
                           SQL_STR(article.title), SQL_STR(article.subtitle), SQL_STR(article.lead),
                           SQL_STR(article.content), SQL_STR(article.tags), SQL_INT(article.version), moment, moment));
    return 0;
}

static const char *id_of(const struct envelope *event)
{
    return event->stream + strlen("article-");
}

int article_revision_created(struct sql_batch *batch, const struct envelope *event, struct arena *arena,
                             struct err *err)
{
    (void)arena;
    (void)err;
    sql_batch_add(batch, "UPDATE articles SET version = ?, updated_at = ? WHERE id = ?",
                  SQL_ARGS(SQL_INT(event->version), sql_moment(batch, event->recorded_at), SQL_TEXT(id_of(event))));
    return 0;
}

int article_published(struct sql_batch *batch, const struct envelope *event, struct arena *arena, struct err *err)
{
    (void)arena;
    (void)err;
    struct sql_arg moment = sql_moment(batch, event->recorded_at);
    sql_batch_add(
        batch, "UPDATE articles SET version = ?, updated_at = ?, status = 'published', published_at = ? WHERE id = ?",
        SQL_ARGS(SQL_INT(event->version), moment, moment, SQL_TEXT(id_of(event))));
    return 0;
}
