/* The page brings all it needs with it, and its policy allows nothing else. */
#include "unit.h"

#include "daemon/console/page.h"
#include <string.h>

static bool has(struct slice text, const char *part)
{
    return memmem(text.ptr, text.len, part, strlen(part)) != NULL;
}

static void test_policy(void **state UNUSED)
{
    CLEANUP(buf_release) struct buf a = {0}, b = {0}, none = {0};
    page_policy(&a, SLICE_LITERAL("<style>a{}</style><script>alert(1)</script>"));
    /* echo -n 'alert(1)' | openssl dgst -sha256 -binary | base64 */
    assert_non_null(
        strstr(buf_str(&a), "script-src 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='"));
    assert_non_null(strstr(buf_str(&a), "default-src 'none'"));
    assert_null(strstr(buf_str(&a), "unsafe"));
    page_policy(&b, SLICE_LITERAL("<style>a{}</style><script>alert(2)</script>"));
    assert_string_not_equal(buf_str(&a), buf_str(&b));
    page_policy(&none, SLICE_LITERAL("<p>"));
    assert_non_null(strstr(buf_str(&none), "script-src 'none'; style-src 'none'"));
}

static void test_page(void **state UNUSED)
{
    static const char *const forbidden[] = {
        "http://",   "https://",     "<script ",       "<style ",
        " src=",     "@import",      "url(",           "innerHTML",
        "outerHTML", "eval(",        "style=\"",       "javascript:",
        " onclick=", "localStorage", "document.write", "insertAdjacentHTML"};
    struct slice page = page_text();
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++) {
        if (has(page, forbidden[i])) {
            fail_msg("the page has %s", forbidden[i]);
        }
    }
    assert_true(has(page, "<html lang=\"en\""));
    assert_true(has(page, "name=\"viewport\""));
    assert_true(has(page, "prefers-color-scheme: dark"));
    assert_true(page.len < 64 * 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_policy), cmocka_unit_test(test_page)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
