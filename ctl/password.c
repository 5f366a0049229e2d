/* A password on standard input: the first line of a file, or what somebody types twice, unseen. See ctl.h. */
#include "ctl/ctl.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
    caught = number;
}

/* One line, without its end; what does not fit is not read. unheld: the signals that may break the wait off, and at no
 * other time do (NULL: as they are), so that none is lost between a prompt and the wait for its answer. */
static int read_line(const sigset_t *unheld, char *out, size_t room, struct err *err)
{
    size_t length = 0;
    char byte = '\0';
    ssize_t got = 0;
    while (length + 1 < room) {
        struct pollfd wait = {.fd = STDIN_FILENO, .events = POLLIN};
        got = ppoll(&wait, 1, NULL, unheld) < 0 ? -1 : read(STDIN_FILENO, &byte, 1);
        if (got < 0 && errno == EINTR && caught == 0)
            continue; /* it was stopped, and goes on */
        if (got <= 0 || byte == '\n' || byte == '\r')
            break;
        out[length++] = byte;
    }
    out[length] = '\0';
    return got < 0 || (got == 0 && length == 0) ? fail(err, ERR_INVALID, "there is no password on standard input") : 0;
}

static int ask(const char *prompt, const sigset_t *unheld, char *out, size_t room, struct err *err)
{
    fputs(prompt, stderr);
    int status = read_line(unheld, out, room, err);
    fputs("\n", stderr);
    return status;
}

static int ask_twice(const sigset_t *unheld, char *out, size_t room, struct err *err)
{
    char again[PASSWORD_ROOM];
    int status = ask("Password: ", unheld, out, room, err);
    if (status == 0)
        status = ask("The same again: ", unheld, again, sizeof again, err);
    if (status == 0 && strcmp(out, again) != 0)
        status = fail(err, ERR_INVALID, "the passwords are not the same");
    crypt_wipe(again, sizeof again);
    return status;
}

/* Without an echo; a signal ends the program when the terminal is as it was. */
static int ask_unseen(char *out, size_t room, struct err *err)
{
    static const int SIGNALS[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    enum { COUNT = sizeof SIGNALS / sizeof SIGNALS[0] };
    const struct sigaction action = {.sa_handler = on_signal};
    struct sigaction old[COUNT];
    struct termios before, unseen;
    sigset_t held, unheld;
    if (tcgetattr(STDIN_FILENO, &before) != 0)
        return fail(err, ERR_INTERNAL, "the terminal does not say how it is set");
    unseen = before;
    unseen.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
    unseen.c_cc[VSUSP] = _POSIX_VDISABLE;
    sigemptyset(&held);
    for (size_t i = 0; i < COUNT; i++)
        sigaddset(&held, SIGNALS[i]);
    sigprocmask(SIG_BLOCK, &held, &unheld);
    for (size_t i = 0; i < COUNT; i++)
        sigaction(SIGNALS[i], &action, &old[i]);
    int status = tcsetattr(STDIN_FILENO, TCSAFLUSH, &unseen) == 0
                     ? ask_twice(&unheld, out, room, err)
                     : fail(err, ERR_INTERNAL, "the terminal would show the password");
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    for (size_t i = 0; i < COUNT; i++)
        sigaction(SIGNALS[i], &old[i], NULL);
    if (caught != 0)
        raise(caught);
    sigprocmask(SIG_SETMASK, &unheld, NULL); /* where what was caught, or came since, ends the program */
    return status;
}

int ctl_read_password(char *out, size_t room, struct err *err)
{
    return isatty(STDIN_FILENO) ? ask_unseen(out, room, err) : read_line(NULL, out, room, err);
}
