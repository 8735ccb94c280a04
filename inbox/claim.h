/* What the two engines share. Not installed, not exported. */
#ifndef CLAIM_H
#define CLAIM_H

/* Begins a call: forgets the last error of this thread. Returns 0, or -1 if a string is missing. */
int cr_inbox_begin(const char *consumer, const char *event_id);

/* Notes why the call fails: what was done, the cause (its line ends become blanks), and the remedy
 * ("": none). Cut at the size of the text. Returns -1. */
int cr_inbox_fail(const char *what, const char *cause, const char *remedy);

/* What every engine says where no transaction is open. Returns -1. */
int cr_inbox_outside(void);

#endif
