/*
 * The command line that all programs share: --config FILE, --help, --version.
 */
#ifndef COURANT_BASE_OPTIONS_H
#define COURANT_BASE_OPTIONS_H

/* Reads argv. config is set to the file that was named, or NULL. Exits for --help, --version and mistakes (status 2).
 */
void options_read(int argc, char **argv, const char *program, const char *summary, const char **config);

#endif
