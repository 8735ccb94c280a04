/*
 * Fault points: places in the code where a test can end the process. Example: with the environment
 * variable COMMITRELAY_FAULT="settle_after_mark@3:kill" the process gets SIGKILL when it comes to
 * fault_point("settle_after_mark") for the third time. Without "@3" it is the first time. ":stop"
 * is SIGSTOP, after which the test lets it go on.
 *
 * Mutants: wrong orders of steps that a test switches on to see itself turn red. Example: with
 * COMMITRELAY_MUTANT="txn_position_outside", fault_mutant("txn_position_outside") is true.
 *
 * Compiled in only with the CMake option COMMITRELAY_FAULTS; in a release a fault point is nothing.
 * Any thread. Allocates nothing, cannot fail.
 */
#pragma once

#include <stdbool.h>

#ifdef COMMITRELAY_FAULTS
/* Called through fault_point only. */
void fault_point_hit(const char *name);
bool fault_mutant(const char *name);
/* The names lie together in a section of their own, in which a test finds all that there are. */
#define fault_point(name)                                                                     \
    do {                                                                                      \
        static const char fault_name[] __attribute__((section("fault_points"), used)) = name; \
        fault_point_hit(fault_name);                                                          \
    } while (0)
#else
#define fault_point(name) ((void)0)
#define fault_mutant(name) false
#endif
