/*
 * Named fault points, for tests: COMMITRELAY_FAULT="name[@n]:kill" ends the process with SIGKILL at
 * the n-th (default first) passage. Compiled in only with the CMake option COMMITRELAY_FAULTS; a
 * release knows nothing of it.
 */
#pragma once

#ifdef COMMITRELAY_FAULTS
void fault_point_hit(const char *name);
#define fault_point(name) fault_point_hit(name)
#else
#define fault_point(name) ((void)0)
#endif
