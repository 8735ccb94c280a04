/*
 * How long a contract test waits for what has to come. It is no measure of anything: a machine that
 * is slow or busy shall pass, and only what never comes shall fail.
 */
#pragma once

#include "base/clock.h"

#define PATIENCE_US (180 * US_PER_SECOND)
