/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Rows of a map, made on first use, and why one could not be made. */
#ifndef NFBPF_ROW_H
#define NFBPF_ROW_H

#define EEXIST 17
#define E2BIG 7
#define EBUSY 16
#define ENOMEM 12
#define EDEADLK 35
#define ETIMEDOUT 110

/* Where what finds no row is counted; every program that makes rows has it. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, NFBPF_OVERFLOW_ROWS);
	__type(key, struct nfbpf_overflow_key);
	__type(value, struct nfbpf_overflow);
} nfbpf_overflow SEC(".maps");

/*
 * Makes the key's row, as `zero` has it, and returns it. Another context may
 * make it between our look-up and our insert: then theirs is the one, and
 * BPF_NOEXIST keeps what it has counted already. Returns NULL and *err when
 * there is none.
 *
 * err is an int on purpose: before 6.4 the kernel's function returned one, so
 * the upper half of the register holds no sign and a long -17 is never seen.
 */
static __always_inline void *make_row(void *map, const void *key, const void *zero, int *err)
{
	*err = bpf_map_update_elem(map, key, zero, BPF_NOEXIST);
	if (*err && *err != -EEXIST)
		return NULL;
	return bpf_map_lookup_elem(map, key);
}

/* A bucket's lock that cannot be had: -EBUSY, and since 6.15 what the new lock says. */
static __always_inline bool is_busy(int err)
{
	return err == -EBUSY || err == -EDEADLK || err == -ETIMEDOUT;
}

static __always_inline enum nfbpf_overflow_reason overflow_reason(int err)
{
	return err == -E2BIG	? NFBPF_OVERFLOW_REASON_FULL
	       : is_busy(err)	? NFBPF_OVERFLOW_REASON_BUSY
	       : err == -ENOMEM ? NFBPF_OVERFLOW_REASON_MEMORY
				: NFBPF_OVERFLOW_REASON_OTHER;
}

#endif /* NFBPF_ROW_H */
