/* See progress.h. */
#include "ctl/progress.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { DRAW_US = 100000, WIDTH = 30 };

void progress_start(struct progress *progress, const char *what, int64_t from, int64_t to)
{
    *progress = (struct progress){.what = what, .from = from, .to = to, .at = from, .began = clock_steady()};
}

double progress_rate(const struct progress *progress)
{
    int64_t spent = clock_steady() - progress->began;
    return spent > 0 ? (double)(progress->at - progress->from) * 1e6 / (double)spent : 0;
}

void progress_at(struct progress *progress, int64_t at)
{
    char bar[WIDTH + 1];
    int64_t now = clock_steady();
    progress->at = at;
    if (now < progress->next_draw || !isatty(STDERR_FILENO))
        return;
    progress->next_draw = now + DRAW_US;
    progress->drawn = true;
    int64_t all = progress->to > progress->from ? progress->to - progress->from : 1, done = at - progress->from;
    int full = done >= all ? WIDTH : (int)(done * WIDTH / all);
    for (int i = 0; i < WIDTH; i++)
        bar[i] = i < full ? '#' : '.';
    bar[WIDTH] = '\0';
    double rate = progress_rate(progress);
    fprintf(stderr, "\r%-9s[%s] %3d %%  position %" PRId64 " of %" PRId64 "  %.0f/s  %.0f s left\033[K", progress->what,
            bar, (int)(done >= all ? 100 : done * 100 / all), at, progress->to, rate,
            rate > 0 && done < all ? (double)(all - done) / rate : 0.0);
    fflush(stderr);
}

void progress_end(struct progress *progress)
{
    if (progress->drawn)
        fprintf(stderr, "\r\033[K");
    progress->drawn = false;
}
