// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Counts like any program with plain adds, but takes its time between the load
 * and the store. Whoever runs it with BH on loses counts that the usual two
 * instructions would lose once in a million.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "nfbpf.h"

struct nfbpf_wide_add {
	__u64 packets;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, struct nfbpf_wide_add);
} wide_add SEC(".maps");

SEC("socket")
int wide_add_count(struct __sk_buff *skb)
{
	__u32 direction = skb->cb[NFBPF_CB_DIRECTION];
	volatile struct nfbpf_wide_add *row = bpf_map_lookup_elem(&wide_add, &direction);
	__u64 packets;

	if (!row)
		return 0;
	packets = row->packets;
	for (int i = 0; i < 64; i++)
		bpf_ktime_get_ns();
	row->packets = packets + 1;
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
