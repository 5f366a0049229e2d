/* Diffs. See diff.h. */
#include "base/diff.h"

#include "base/buf.h"

#include <git2.h>
#include <string.h>

/* libgit2 says «a/NAME» and has lines of its own before the first change; a plain unified diff begins with «---». */
static struct str plain(struct arena *arena, const char *name_before, const char *name_after, const git_buf *patch)
{
    struct buf buf;
    const char *change = patch->size > 0 ? memmem(patch->ptr, patch->size, "\n@@ ", 4) : NULL;
    buf_init(&buf, arena);
    if (change == NULL)
        return STR("");
    buf_printf(&buf, "--- %s\n+++ %s", name_before, name_after);
    buf_add(&buf, change, patch->size - (size_t)(change - patch->ptr));
    return buf.failed ? (struct str){NULL, 0} : buf_str(&buf);
}

/* Once for the process, and for good: it sets up TLS too, which takes longer than most diffs. */
static bool start(void)
{
    static bool started;
    started = started || git_libgit2_init() > 0;
    return started;
}

int diff_unified(struct arena *arena, const char *name_before, struct str before, const char *name_after,
                 struct str after, struct str *diff, struct err *err)
{
    git_patch *patch = NULL;
    git_buf text = {0};
    git_diff_options options;
    if (!start() || git_diff_options_init(&options, GIT_DIFF_OPTIONS_VERSION) != 0)
        return fail(err, ERR_INTERNAL, "libgit2 cannot start");
    options.flags = GIT_DIFF_FORCE_TEXT;
    *diff = STR("");
    int status = git_patch_from_buffers(&patch, before.data, before.len, name_before, after.data, after.len, name_after,
                                        &options);
    if (status == 0 && patch != NULL && (status = git_patch_to_buf(&text, patch)) == 0)
        *diff = plain(arena, name_before, name_after, &text);
    git_buf_dispose(&text);
    git_patch_free(patch);
    return status == 0 && diff->data != NULL ? 0 : fail(err, ERR_INTERNAL, "a diff could not be made");
}
