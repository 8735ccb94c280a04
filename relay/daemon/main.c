/* The only place that exits. It makes the process safe before anything else runs: no write to a
 * closed pipe kills it, no file or socket of ours can become descriptor 0, 1 or 2. */
#include "cli/cli.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>

/* What is closed stays unusable, so that nothing looks printed that nobody can read. Only words for
 * people (descriptor 2) may get lost. */
static void reopen_standard_descriptors(void)
{
    static const int modes[] = {O_WRONLY, O_RDONLY, O_WRONLY};
    for (int fd = 0; fd <= 2; fd++) {
        /* The lowest free number is taken, so the loop fills the gaps in order. */
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", modes[fd]) != fd) {
            _Exit(EXIT_CODE_BUG);
        }
    }
}

/* Out of memory, or a broken assertion here or in a library: the words are on stderr already, and
 * what was not saved was not acknowledged. */
static void end_as_a_bug(int signal_number)
{
    (void)signal_number;
    _Exit(EXIT_CODE_BUG);
}

int main(int argc, char **argv)
{
    reopen_standard_descriptors();
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a file over its limit is EFBIG, which has a policy */
    (void)signal(SIGABRT, end_as_a_bug);
    (void)umask(0027);
#ifndef COMMITRELAY_FAULTS
    /* No core and no /proc/<pid>/mem for others: both hold connection passwords. */
    (void)prctl(PR_SET_DUMPABLE, 0);
#endif
    return cli_main(argc, argv);
}
