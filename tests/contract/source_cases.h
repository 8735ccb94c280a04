/*
 * The cases a source must pass, by what they are about; each list is ended by an empty entry. The
 * test's state is a struct world.
 */
#pragma once

#include "../unit/unit.h"

#include "source_fixture.h"

struct source_test {
    struct CMUnitTest test;
    bool (*concerns)(const struct source_case *c); /* NULL: every source in every mode */
};

#define SOURCE_CASE_OF(name, concerns)                                        \
    {                                                                         \
        cmocka_unit_test_setup_teardown(name, world_up, world_down), concerns \
    }
#define SOURCE_CASE(name) SOURCE_CASE_OF(name, NULL)

extern const struct source_test source_loss_cases[], source_resume_cases[], source_rest_cases[],
    source_marks_cases[];
