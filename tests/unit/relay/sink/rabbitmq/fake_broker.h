/*
 * A RabbitMQ broker that follows a script, for answers that no real one gives on demand. It stands
 * for librabbitmq's connections (fakes_rabbitmq.c); texts of errors come from the library itself.
 *
 * A test calls these from its own thread; what it tells the broker to say is read by the sink's
 * worker.
 */
#pragma once

#include <amqp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A message that was published. */
struct fake_message {
    char id[300], exchange[300], key[300];
    bool mandatory;
    uint64_t size;     /* as announced */
    uint64_t came;     /* bytes of the body so far */
    size_t pieces;     /* frames of the body so far */
    size_t largest;    /* bytes of the largest of them */
    size_t connection; /* by which connection, from 1 */
};

/* As new: nothing published, everybody is let in. */
void fake_broker_reset(void);

/* How many messages were published completely, and the nth of all, from 0. */
size_t fake_broker_published(void);
struct fake_message fake_broker_message(size_t n);
/* How many connections were begun, how many were opened, and how many of them said goodbye. */
size_t fake_broker_tried(void);
size_t fake_broker_opened(void);
size_t fake_broker_closed(void);
/* The port of the last host that was tried. */
int fake_broker_port(void);

/* Connecting to this port fails with a status of the library; 0: nobody is refused. */
void fake_broker_away(int port, int status);
/* Logging in is refused with a code and a text of the broker. NULL: everybody is let in. */
void fake_broker_login(int code, const char *text);

/* What the broker says on the open connection. */
void fake_broker_ack(uint64_t tag, bool multiple);
void fake_broker_nack(uint64_t tag);
void fake_broker_return(size_t message); /* the nth message comes back */
void fake_broker_blocked(const char *why);
void fake_broker_unblocked(void);
void fake_broker_close(int code, const char *text); /* of the channel */
void fake_broker_lose(int status);                  /* the next wait fails with it */
/* Sending, or the goodbye, hangs until the socket is shut down. */
void fake_broker_hang(void);
void fake_broker_hang_goodbye(void);
/* Connecting hangs until it is called with false; the name service is away, say. */
void fake_broker_hang_connect(bool hangs);
/* Who logged in last: "user password"; "" at first. The caller's buffer. */
void fake_broker_user(char out[64]);
/* How many connections were closed so that what was not sent is thrown away. */
size_t fake_broker_thrown_away(void);
/* From this many bytes of a body on the socket has no room; 0: always. */
void fake_broker_room(uint64_t bytes);
