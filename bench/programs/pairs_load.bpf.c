// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Packets of the pairs that bench/scrape.cpp made, one after another in an order of no use to a
 * cache. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "nfbpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 1);
	__type(key, struct nfbpf_ipv4_key);
	__type(value, struct nfbpf_source_destination);
} bench_pairs SEC(".maps");

struct {
	__u32 at;
	__u32 pairs;
} walk SEC(".data.walk");

SEC("socket")
int count_pair(struct __sk_buff *skb)
{
	struct nfbpf_ipv4_key key = {.direction = NFBPF_DIRECTION_OUT, .protocol = 17};
	struct nfbpf_source_destination *row;
	__u32 pair;

	/* See next_key.h: the next run waits for this one's memory. */
	bpf_ktime_get_ns();
	/* A prime that divides no number of pairs: each pair once in so many packets. */
	pair = walk.at + 1000003;
	pair = walk.pairs ? pair % walk.pairs : 0;
	walk.at = pair;
	key.source = pair * 2654435761U;
	key.destination = pair;
	row = bpf_map_lookup_elem(&bench_pairs, &key);
	if (!row)
		return 0;
	row->packets++;
	row->bytes += skb->len;
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
