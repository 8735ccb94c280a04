/*
 * The cases every source must pass, by what they are about; each list is ended by an empty entry.
 * The test's state is a struct world.
 */
#pragma once

#include "../unit/unit.h"

#include "source_fixture.h"

#define SOURCE_CASE(name) cmocka_unit_test_setup_teardown(name, world_up, world_down)

extern const struct CMUnitTest source_loss_cases[], source_resume_cases[], source_rest_cases[],
    source_marks_cases[];
