/*
 * What a configured pipeline is made of, as far as the plugins' private structs must be asked by
 * their key tables.
 */
#pragma once

#include "base/buf.h"
#include "config/config.h"

/* The text a plugin's configuration holds for one of its STRING or SECRET keys; NULL: no such key.
 * "columns.seq" is a key of a group. */
const char *parts_text(const struct conf_key *keys, const void *conf, const char *name);

/* The same of an ENUM key: its word. And whether the file has a key that notes that. */
const char *parts_word(const struct conf_key *keys, const void *conf, const char *name);
bool parts_given(const struct conf_key *keys, const void *conf, const char *name);

/* The same of one of its DURATION keys; 0: no such key. */
int64_t parts_duration_us(const struct conf_key *keys, const void *conf, const char *name);

/* Does its source give table changes? (It has a key `as`, and that says `changes`.) Asked before
 * the source is opened, because its route depends on it. */
bool parts_changes(const struct conf_pipeline *p);

/* A store beside the source's database: a missing SQLite file is made. */
bool parts_store_own(const struct conf_pipeline *p);

/* Where cursor, control row and dead letters of a pipeline are: an outbox's own database, else the
 * `store` of the file (a relative SQLite path starts at $STATE_DIRECTORY). May hold a password. */
void parts_store_url(struct buf *out, const struct config *c, const struct conf_pipeline *p);

/* The same for people, and for comparing: without a password, a file by its absolute path. */
void parts_store_shown(struct buf *out, const char *store_url);

/* A path from the working directory on; "" is that directory itself, with a slash at its end. */
void parts_absolute(struct buf *out, const char *path);

/* The absolute path of the socket that the commands ask; "": none is wanted. */
void parts_socket_path(struct buf *out, const struct config *c);
