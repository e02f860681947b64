/**
 * test/unit/freed_aid.h -- may a test look at memory that was freed, to see
 * that nothing of a secret is left in it?  A sanitizer would not have it.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_UNIT_FREED_AID_H
#define TEST_UNIT_FREED_AID_H

#ifdef __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FREED_IS_OUT_OF_SIGHT
#endif
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FREED_IS_OUT_OF_SIGHT
#endif

#endif
