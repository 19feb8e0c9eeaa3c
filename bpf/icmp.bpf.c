// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Who sends which ICMP and ICMPv6 messages. Returns 1, "matches", for a packet
 * that is one. A later fragment has no type and is none.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "nfbpf.h"
#include "packet_skb.h"
#include "address.h"
#include "counted.h"

#define SOURCES_DEFAULT 16384 /* anyone can forge a source: the rest is in nfbpf_overflow */

struct nfbpf_icmp_key {
	union address source;
	enum nfbpf_family family;
	enum nfbpf_direction direction;
	__u8 type; /* what it means depends on the family */
	nfbpf_reserved8_t reserved;
};

struct nfbpf_icmp {
	__u64 messages;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, SOURCES_DEFAULT);
	__type(key, struct nfbpf_icmp_key);
	__type(value, struct nfbpf_icmp);
} nfbpf_icmp SEC(".maps");

SEC("socket")
int count_icmp(struct __sk_buff *skb)
{
	struct packet p = packet_of_skb(skb);
	struct transport t = transport_of(&p);
	struct nfbpf_icmp_key key = {.family = p.family, .direction = p.direction};
	struct nfbpf_icmp zero = {};
	struct nfbpf_icmp *row;
	struct addresses a;

	if (t.protocol != (p.family == NFBPF_FAMILY_IPV4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6))
		return 0;
	if (!t.offset || load(skb, t.offset, &key.type, 1) || !load_addresses(&p, &a))
		return 0;
	key.source = a.source;
	row = row_of(&p, &nfbpf_icmp, &key, &zero);
	if (row)
		ADD(row->messages, p.packets);
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
