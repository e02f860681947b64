/** base/mem.c -- all allocation goes through here. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#ifdef MEM_PLAIN /* libtapeop: no state in programs that are not ours */

static int must_fail(void)
{
	return 0;
}

static void *count(void *p)
{
	return p;
}

static void uncount(void)
{
}

#else

static _Atomic int64_t fail_in = -1;
static _Atomic int fail_happened;
static _Atomic int64_t live;

static int must_fail(void)
{
	int64_t left = atomic_load_explicit(&fail_in, memory_order_relaxed);

	if (left < 0)
		return 0;
	left = atomic_fetch_sub_explicit(&fail_in, 1, memory_order_relaxed);
	if (left != 0)
		return 0;
	atomic_store_explicit(&fail_happened, 1, memory_order_relaxed);
	return 1;
}

static void *count(void *p)
{
	if (p)
		atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
	return p;
}

static void uncount(void)
{
	atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
}

void mem_fail_after(int64_t n)
{
	atomic_store(&fail_happened, 0);
	atomic_store(&fail_in, n);
}

int mem_fail_happened(void)
{
	return atomic_load(&fail_happened);
}

int64_t mem_live(void)
{
	return atomic_load_explicit(&live, memory_order_relaxed);
}

#endif

void *mem_zalloc(size_t len)
{
	return must_fail() ? NULL : count(calloc(1, len));
}

void *mem_zalloc_n(size_t n, size_t len)
{
	size_t all;

	/* calloc checks this, too, but sanitizers end the process there. */
	if (must_fail() || __builtin_mul_overflow(n, len, &all))
		return NULL;
	return count(calloc(1, all ? all : 1));
}

void *mem_realloc(void *p, size_t len)
{
	if (must_fail())
		return NULL;
	return p ? realloc(p, len) : count(malloc(len));
}

char *mem_strdup(const char *s)
{
	return s ? mem_strndup(s, strlen(s)) : NULL;
}

char *mem_strndup(const char *s, size_t len)
{
	char *copy = mem_zalloc(len + 1);

	if (copy)
		memcpy(copy, s, len);
	return copy;
}

void mem_free(void *p)
{
	if (p)
		uncount();
	free(p);
}

void mem_wipe(void *p, size_t len)
{
	if (p)
		explicit_bzero(p, len);
}

void mem_free_secret(char *s)
{
	if (s)
		mem_wipe(s, strlen(s));
	mem_free(s);
}

void mem_free_wiped(void *p)
{
	mem_wipe(p, malloc_usable_size(p));
	mem_free(p);
}
