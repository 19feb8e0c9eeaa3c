/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * A source address for each run, so that one packet stands for as many pairs as
 * a bench wants: BPF_PROG_TEST_RUN repeats a program on the same packet. The
 * words are set by the bench; they are written by one CPU.
 */
#ifndef NFBPF_NEXT_KEY_H
#define NFBPF_NEXT_KEY_H

struct {
	__u64 state;	/* of the generator, or how many were given out */
	__u32 mask;	/* keys - 1 */
	__u32 in_order; /* each key once, to fill a map; else at random */
} next SEC(".data.next");

/* Marsaglia's xorshift64: three shifts, and the low bits are as good as any. */
static __always_inline __u32 next_source(void)
{
	__u64 x = next.state;

	/*
	 * Reads the time stamp counter in order (lfence), so nothing of this
	 * run starts before the last one is done. Or short programs overlap
	 * their cache misses with those of the next run, as no two packets do.
	 */
	bpf_ktime_get_ns();

	/* Twice each: a program that finds no row may ask again before it makes one. */
	if (next.in_order) {
		next.state = x + 1;
		x >>= 1;
	} else {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		next.state = x;
	}
	return x & next.mask;
}

#endif
