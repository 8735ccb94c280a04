/*
 * `verify` of table changes: all rows of a source's tables as one moment of the database shows
 * them, and which events happened before that moment.
 *
 * Opened with source_env.range SOURCE_RANGE_ALL and `observe`, a source of table changes gives
 * every row once, as CHANGE_READ. `start` chooses the moment; `idle` says that all rows were given;
 * `frontier` answers AGAIN until the pipeline has delivered what was committed before the moment,
 * and appends nothing.
 *
 * source_ops.when(source, id, out): when did the event with this id happen? `out` gets a text,
 * which for another event of the same row is greater by strcmp if that happened later. Needs
 * `start`; no I/O. NULL: the source gives no table changes.
 *
 * Plain values; the thread of the command.
 */
#pragma once

enum source_when {
    SOURCE_BEFORE,
    SOURCE_AFTER,
    /* No text is written: */
    SOURCE_NOT_OURS, /* no event of such a source has this id */
    SOURCE_NO_CHANGE /* no table change has it, but other events of this source may: logical
                        messages, whose ids the application makes */
};
enum { SOURCE_WHEN_SIZE = 48 };
