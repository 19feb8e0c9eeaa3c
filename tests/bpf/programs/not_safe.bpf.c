// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* The verifier refuses it: a look-up may find nothing. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "nfbpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 16);
	__type(key, struct nfbpf_ipv4_key);
	__type(value, struct nfbpf_source_destination);
} not_safe SEC(".maps");

SEC("socket")
int nfbpf_not_safe(struct __sk_buff *skb)
{
	struct nfbpf_ipv4_key key = {};
	struct nfbpf_source_destination *row = bpf_map_lookup_elem(&not_safe, &key);

	row->packets += skb->len;
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
