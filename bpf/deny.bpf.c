// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * A deny list for `iptables -m bpf --object-pinned`: returns 1, "matches", for
 * a packet whose destination is in the map, and counts it there. With
 * `-j DROP` behind it the listed destinations cannot be reached.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "nfbpf.h"
#include "packet_skb.h"

#define DENIED_DEFAULT 1024

/* IPv4 destinations stand as ::ffff:a.b.c.d, so that one map holds both. */
struct nfbpf_denied_key {
	nfbpf_ipv6_t destination;
};

struct nfbpf_denied {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, DENIED_DEFAULT);
	__type(key, struct nfbpf_denied_key);
	__type(value, struct nfbpf_denied);
} nfbpf_denied SEC(".maps");

SEC("socket")
int nfbpf_deny(struct __sk_buff *skb)
{
	struct packet p = packet_of_skb(skb);
	struct nfbpf_denied_key key = {};
	struct nfbpf_denied *row;

	if (p.family == NFBPF_FAMILY_IPV4) {
		key.destination.byte[10] = 0xff;
		key.destination.byte[11] = 0xff;
		if (load(skb, IPV4_DESTINATION_OFFSET, &key.destination.byte[12], 4))
			return 0;
	} else if (load(skb, IPV6_DESTINATION_OFFSET, &key.destination, 16)) {
		return 0;
	}

	row = bpf_map_lookup_elem(&nfbpf_denied, &key);
	if (!row)
		return 0;
	/* iptables-nft runs matches with BH on: a softirq may come between load and store. */
	__sync_fetch_and_add(&row->packets, p.packets);
	__sync_fetch_and_add(&row->bytes, p.bytes);
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
