/*
 * A PostgreSQL server that follows a script, for faults that no real one gives on demand. A test
 * that includes this header is linked with fake_libpq.c, which stands for libpq's connections;
 * results are made by libpq itself.
 *
 * A statement that no answer of the script fits is done, without a row, and one row is affected.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct fake_answer {
    const char *when;     /* a part of the statement's text; of a prepared one: of the text it was
                             prepared with */
    unsigned nth;         /* only the nth such statement since the script began, from 1; 0: each */
    const char *sqlstate; /* an error with this code, behind the rows if there are any */
    bool lost;            /* the connection ends, behind the rows if there are any */
    bool unsent;          /* the connection ends before the statement is sent */
    size_t columns, rows;
    const char *const *values; /* rows x columns; NULL is null */
    const char *affected;
    unsigned pieces; /* it comes in so many pieces, one with each fake_libpq_piece; 0: at once */
};

/* The first answer that fits is given. Borrowed until the next call, which forgets what was sent
 * before; connections go on. */
void fake_libpq_script(const struct fake_answer *answers, size_t n);
/* The next piece of each answer on its way that comes in pieces lies in its socket. */
void fake_libpq_piece(size_t bytes);
/* How many statements with this part were sent since the script began. */
unsigned fake_libpq_sent(const char *part);
/* The parameters of the last statement with this part that was sent, a blank between two and NULL
 * as null. "" if there was none, or it had none. Valid until the next script. */
const char *fake_libpq_params(const char *part);
/* How many connections are open now, and how many were ever made. */
unsigned fake_libpq_open(void);
unsigned fake_libpq_made(void);

/* From now on nobody is let in, with this message; NULL: everybody is. Borrowed. */
void fake_libpq_refuse(const char *message);
