// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* The traffic program's map by name and size, but a member differs: a swap must not take it. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "nfbpf.h"

struct other_value {
	__u64 packets;
	__u32 bytes;
	__u32 errors;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct nfbpf_ipv4_key);
	__type(value, struct other_value);
} nfbpf_ipv4 SEC(".maps");

SEC("socket")
int other_layout(struct __sk_buff *skb)
{
	struct nfbpf_ipv4_key key = {};
	struct other_value *value = bpf_map_lookup_elem(&nfbpf_ipv4, &key);

	if (value)
		value->bytes += skb->len;
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
