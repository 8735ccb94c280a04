/*
 * The page of the console: page.html, built into the binary, and the policy it is sent with. Main
 * thread.
 */
#pragma once

#include "base/buf.h"

/* The text of page.html. */
struct slice page_text(void);

/* Appends a Content-Security-Policy under which this HTML runs and loads nothing but its own script
 * and style: it names the SHA-256 of what stands between <script> and </script>, and between
 * <style> and </style>. There is one of each. */
void page_policy(struct buf *out, struct slice html);
