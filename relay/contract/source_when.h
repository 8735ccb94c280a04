/*
 * When an event of a table change happened, for `verify`. Opened with source_env.range and
 * `observe`, a source of table changes gives every row of its tables once, as CHANGE_READ, all as
 * one moment of the database shows them. `start` chooses the moment; `idle` says that all rows were
 * given; `frontier` answers AGAIN until the pipeline has delivered what was committed before the
 * moment, and appends nothing.
 *
 * source_ops.when says when the event with this id happened. `out` gets a text, which for another
 * event of the same row is greater by strcmp if that happened later. It needs `start`; no I/O.
 */
#pragma once

/* Compared with the moment whose rows the source gives. */
enum source_when {
    SOURCE_BEFORE,
    SOURCE_AFTER,
    /* No text is written: */
    SOURCE_NOT_OURS, /* no event of such a source has this id */
    SOURCE_NO_CHANGE /* no table change has it, but other events of this source may: logical
                        messages, whose ids the application makes */
};
enum { SOURCE_WHEN_SIZE = 48 };
