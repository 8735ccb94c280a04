/* The same server as that of test_source.c. */
#include "fakes_source.c"
