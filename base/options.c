/* The shared command line. See options.h. */
#include "base/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef COURANT_VERSION
#define COURANT_VERSION "unknown"
#endif

void options_read(int argc, char **argv, const char *program, const char *summary, const char **config)
{
    static const struct option known[] = {{"config", required_argument, NULL, 'c'},
                                          {"help", no_argument, NULL, 'h'},
                                          {"version", no_argument, NULL, 'V'},
                                          {NULL, 0, NULL, 0}};
    *config = NULL;
    for (int c; (c = getopt_long(argc, argv, "c:hV", known, NULL)) != -1;) {
        if (c == 'c') {
            *config = optarg;
        } else if (c == 'V') {
            printf("%s %s\n", program, COURANT_VERSION);
            exit(0);
        } else {
            fprintf(c == 'h' ? stdout : stderr, "usage: %s [--config FILE]\n%s\n", program, summary);
            exit(c == 'h' ? 0 : 2);
        }
    }
    if (optind < argc) {
        fprintf(stderr, "%s: unexpected argument: %s\n", program, argv[optind]);
        exit(2);
    }
}
