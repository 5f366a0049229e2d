/*
 * What the fuzz targets share. libFuzzer calls LLVMFuzzerTestOneInput with inputs that it grows out of
 * tests/fuzz/corpus/; what the sanitizers do not notice by themselves, a target notices by demand().
 */
#ifndef COURANT_TESTS_FUZZ_H
#define COURANT_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the process where something that must always hold does not; libFuzzer keeps the input. */
#define demand(holds, ...) ((holds) ? (void)0 : (fprintf(stderr, "broken: " __VA_ARGS__), fputc('\n', stderr), abort()))

#endif
