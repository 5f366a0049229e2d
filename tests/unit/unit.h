/* What every unit test includes, in the order that cmocka wants. */
#ifndef COURANT_TESTS_UNIT_UNIT_H
#define COURANT_TESTS_UNIT_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Ours is a function; this is for a test that goes through a table. */
#undef fail
#define fail_on(text) (print_error("%s\n", (text)), assert_string_equal((text), "not in the table"))

#endif
