/* The only place that exits. It makes the process safe before anything else runs: no write to a
 * closed pipe kills it, no file or socket of ours can become descriptor 0, 1 or 2. */
#include "cli/cli.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>

static void reopen_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        /* The lowest free number is taken, so the loop fills the gaps in order. */
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_WRONLY : O_RDONLY) != fd) {
            _Exit(EXIT_CODE_BUG);
        }
    }
}

int main(int argc, char **argv)
{
    reopen_standard_descriptors();
    (void)signal(SIGPIPE, SIG_IGN);
    (void)umask(0027);
#ifndef COMMITRELAY_FAULTS
    /* No core and no /proc/<pid>/mem for others: both hold connection passwords. */
    (void)prctl(PR_SET_DUMPABLE, 0);
#endif
    return cli_main(argc, argv);
}
