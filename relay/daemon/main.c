/*
 * main: prepares the process, then runs the command line. The preparations are needed before
 * anything else runs: a write to a closed pipe must not kill the process, and no file or socket may
 * get descriptor 0, 1 or 2, because a message printed to "stderr" would then be written into it.
 */
#include "cli/cli.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>

/* Fills the descriptors 0, 1 and 2 if they are closed. 0 and 1 are opened for the wrong direction
 * on purpose: using them fails as before, so nobody believes that output was printed. Messages to
 * descriptor 2 may get lost. */
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

/* After abort(): out of memory, or an assertion failed. The message is on stderr already. Nothing
 * is lost by ending here: what was not saved is sent again. */
static void end_as_a_bug(int signal_number)
{
    (void)signal_number;
    _Exit(EXIT_CODE_BUG);
}

int main(int argc, char **argv)
{
    reopen_standard_descriptors();
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGCHLD,
                 SIG_DFL); /* ignored by who started us, the end of a command would be lost */
    (void)signal(SIGXFSZ, SIG_IGN); /* too large a file is then EFBIG, a normal error */
    (void)signal(SIGABRT, end_as_a_bug);
    (void)umask(0027);
#ifndef COMMITRELAY_FAULTS
    /* No core file, and no /proc/<pid>/mem for other processes: both contain passwords. */
    (void)prctl(PR_SET_DUMPABLE, 0);
#endif
    return cli_main(argc, argv);
}
