/* A ring of the last lines behind one lock. The lock is held for the copy of a line; the text is
 * made before. */
#include "base/log_recent.h"

#include "base/clock.h"
#include "base/memory.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Like the level, it belongs to the process: whatever logs must not have to be handed a log. */
static struct {
    pthread_mutex_t lock;
    struct log_line lines[LOG_RECENT_LINES];
    char *texts[LOG_RECENT_LINES];
    uint64_t newest;
} ring = {.lock = PTHREAD_MUTEX_INITIALIZER};

void log_recent_add(enum log_level level, const char *pipeline, const char *text)
{
    char *copy = memory_need(strdup(text));
    pthread_mutex_lock(&ring.lock);
    size_t at = ring.newest % LOG_RECENT_LINES;
    char *former = ring.texts[at];
    struct log_line *line = &ring.lines[at];
    *line = (struct log_line){
        .number = ++ring.newest, .at_us = clock_wall_us(), .level = level, .text = copy};
    snprintf(line->pipeline, sizeof line->pipeline, "%s", pipeline ? pipeline : "");
    ring.texts[at] = copy;
    pthread_mutex_unlock(&ring.lock);
    free(former);
}

uint64_t log_recent_newest(void)
{
    pthread_mutex_lock(&ring.lock);
    uint64_t newest = ring.newest;
    pthread_mutex_unlock(&ring.lock);
    return newest;
}

void log_recent_each(uint64_t after, void (*each)(void *ctx, const struct log_line *line),
                     void *ctx)
{
    pthread_mutex_lock(&ring.lock);
    uint64_t oldest = ring.newest > LOG_RECENT_LINES ? ring.newest - LOG_RECENT_LINES : 0;
    for (uint64_t i = after > oldest ? after : oldest; i < ring.newest; i++) {
        each(ctx, &ring.lines[i % LOG_RECENT_LINES]);
    }
    pthread_mutex_unlock(&ring.lock);
}
