/* A password on standard input: the first line of a file, or what somebody types twice, unseen. See ctl.h. */
#include "ctl/ctl.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static int read_line(char *out, size_t room, struct err *err)
{
    if (fgets(out, (int)room, stdin) == NULL)
        return fail(err, ERR_INVALID, "there is no password on standard input");
    out[strcspn(out, "\r\n")] = '\0';
    return 0;
}

static int ask(const char *prompt, char *out, size_t room, struct err *err)
{
    fputs(prompt, stderr);
    int status = read_line(out, room, err);
    fputs("\n", stderr);
    return status;
}

static int ask_twice(char *out, size_t room, struct err *err)
{
    char again[PASSWORD_ROOM];
    int status = ask("Password: ", out, room, err);
    if (status == 0)
        status = ask("The same again: ", again, sizeof again, err);
    if (status == 0 && strcmp(out, again) != 0)
        status = fail(err, ERR_INVALID, "the passwords are not the same");
    crypt_wipe(again, sizeof again);
    return status;
}

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
    caught = number;
}

/* Without an echo; a signal ends the program when the terminal is as it was. */
static int ask_unseen(char *out, size_t room, struct err *err)
{
    static const int SIGNALS[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    enum { COUNT = sizeof SIGNALS / sizeof SIGNALS[0] };
    const struct sigaction action = {.sa_handler = on_signal}; /* which breaks a read off */
    struct sigaction old[COUNT];
    struct termios before, unseen;
    if (tcgetattr(STDIN_FILENO, &before) != 0)
        return fail(err, ERR_INTERNAL, "the terminal does not say how it is set");
    unseen = before;
    unseen.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
    unseen.c_cc[VSUSP] = _POSIX_VDISABLE;
    for (size_t i = 0; i < COUNT; i++)
        sigaction(SIGNALS[i], &action, &old[i]);
    int status = tcsetattr(STDIN_FILENO, TCSAFLUSH, &unseen) == 0
                     ? ask_twice(out, room, err)
                     : fail(err, ERR_INTERNAL, "the terminal would show the password");
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    for (size_t i = 0; i < COUNT; i++)
        sigaction(SIGNALS[i], &old[i], NULL);
    if (caught != 0)
        raise(caught);
    return status;
}

int ctl_read_password(char *out, size_t room, struct err *err)
{
    /* No buffer of the library holds what was typed. */
    setvbuf(stdin, NULL, _IONBF, 0);
    return isatty(STDIN_FILENO) ? ask_unseen(out, room, err) : read_line(out, room, err);
}
