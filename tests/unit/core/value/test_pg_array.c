/* What array_out writes is read back element by element; anything else is refused. */
#include "value/pg_array.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The walk as text: "[" and "]" inside, "<element>", "null", "." at the end, "!" for a fault. */
static void walk(const char *text, char delimiter, const char *expected)
{
    CLEANUP(buf_release) struct buf out = {0}, scratch = {0};
    struct pg_array a = pg_array_walk(slice_from(text), delimiter, &scratch);
    struct slice v = SLICE_NULL;
    enum pg_array_step step;
    do {
        step = pg_array_next(&a, &v);
        switch (step) {
        case PG_ARRAY_OPEN:
            buf_add_char(&out, '[');
            break;
        case PG_ARRAY_CLOSE:
            buf_add_char(&out, ']');
            break;
        case PG_ARRAY_VALUE:
            buf_printf(&out, slice_is_null(v) ? "null" : "<%.*s>", SLICE_FMT(v));
            break;
        case PG_ARRAY_END:
            buf_add_char(&out, '.');
            break;
        case PG_ARRAY_FAULT:
            buf_add_char(&out, '!');
            break;
        }
    } while (step != PG_ARRAY_END && step != PG_ARRAY_FAULT);
    assert_string_equal(buf_str(&out), expected);
}

static void reads_what_the_server_writes(void **state)
{
    (void)state;
    walk("{}", ',', ".");
    walk("{1,-2,NULL}", ',', "<1><-2>null.");
    walk("{\"NULL\",\"\",null}", ',', "<NULL><><null>.");
    walk("{\"a b\",\"x,y\",\"q\\\"q\",\"b\\\\s\",\"{}\"}", ',', "<a b><x,y><q\"q><b\\s><{}>.");
    walk("{{1,2},{3,4}}", ',', "[<1><2>][<3><4>].");
    walk("{{{{{{1}}}}}}", ',', "[[[[[<1>]]]]].");
    walk("[0:1]={a,b}", ',', "<a><b>.");
    walk("[-1:0][2:3]={{a,b},{c,d}}", ',', "[<a><b>][<c><d>].");
    walk("{(1,2),(0,0);(3,4),(1,1)}", ';', "<(1,2),(0,0)><(3,4),(1,1)>.");
}

static void refuses_what_is_none(void **state)
{
    (void)state;
    walk("", ',', "!");
    walk("1", ',', "!");
    walk("{", ',', "!");
    walk("{1", ',', "<1>!");
    walk("{1,}", ',', "<1>!");
    walk("{,1}", ',', "!");
    walk("{1}x", ',', "<1>!");
    walk("{\"a", ',', "!");
    walk("{\"a\\", ',', "!");
    walk("{\"a\"b}", ',', "<a>!");
    walk("{{1}{2}}", ',', "[<1>]!");
    walk("{1{2}}", ',', "<1>!");
    walk("[0:1]{a}", ',', "!");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_the_server_writes),
        cmocka_unit_test(refuses_what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
