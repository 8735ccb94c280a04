/*
 * `check --connect`: may this role keep what a relay must keep in a PostgreSQL store?
 */
#pragma once

#include "cli/kit/findings.h"
#include "contract/store.h"

/* `env` is a PostgreSQL store's. Reports a fault for each missing right, with its grant. */
int check_rights(struct findings *f, const struct store_env *env, struct error *err) MUST_CHECK;
