/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What the programs of the library share: a row for each packet, or a row in
 * nfbpf_overflow. Include packet_skb.h first.
 */
#ifndef NFBPF_COUNTED_H
#define NFBPF_COUNTED_H

#include "row.h"

/*
 * The module runs a program with BH off, so plain adds to per-CPU values are
 * exact. An entry that leaves BH on (a netfilter link, iptables-nft's xt_bpf)
 * can be interrupted between load and store: for such the loader sets this.
 */
const volatile bool atomic_adds = false;

#define ADD(_counter, _n)                                                                          \
	do {                                                                                       \
		if (atomic_adds)                                                                   \
			__sync_fetch_and_add(&(_counter), _n);                                     \
		else                                                                               \
			(_counter) += (_n);                                                        \
	} while (0)

static __always_inline void count_overflow(const struct packet *p, int err)
{
	struct nfbpf_overflow_key key = {
		.direction = p->direction,
		.family = p->family,
		.reason = overflow_reason(err),
	};
	struct nfbpf_overflow zero = {};
	struct nfbpf_overflow *row = bpf_map_lookup_elem(&nfbpf_overflow, &key);

	if (!row)
		row = make_row(&nfbpf_overflow, &key, &zero, &err);
	if (!row)
		return;
	ADD(row->packets, p->packets);
	ADD(row->bytes, p->bytes);
}

/* The key's row in a map, or NULL; then the packet is in nfbpf_overflow. */
static __always_inline void *row_of(const struct packet *p, void *map, const void *key,
				    const void *zero)
{
	void *row = bpf_map_lookup_elem(map, key);
	int err = 0;

	if (!row)
		row = make_row(map, key, zero, &err);
	if (!row)
		count_overflow(p, err);
	return row;
}

/*
 * The slot of a histogram of nfbpf_log2_slot_t: the highest bit that is set.
 * What is too large for the last slot is counted in it.
 */
static __always_inline __u32 log2_slot(__u64 value, __u32 slots)
{
	__u32 slot = 0;

	for (__u32 step = 32; step; step >>= 1) {
		if (value >> step) {
			value >>= step;
			slot += step;
		}
	}
	barrier_var(slot); /* or the compiler drops the check that the verifier wants */
	return slot < slots ? slot : slots - 1;
}

#endif /* NFBPF_COUNTED_H */
