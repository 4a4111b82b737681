/* SPDX-License-Identifier: MIT */
/*
 * base/text.h - what comes from outside, made fit for one line of a log or of JSON.
 *
 * Ownership: the caller's memory. Threads: any. Errors: none.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

/* Replaces control characters, and bytes that are not UTF-8 (a sequence cut off included), by '?'.
 */
void text_one_line(char *s);

#endif /* BASE_TEXT_H */
