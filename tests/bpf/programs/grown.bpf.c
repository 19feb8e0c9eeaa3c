// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * A later release of the traffic program, as a swap sees it: the same maps, and values whose
 * members stand elsewhere and are more. With NFBPF_TEST_SHRUNK, bytes are gone.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define nfbpf_source_destination nfbpf_source_destination_of_before
#include "nfbpf.h"
#undef nfbpf_source_destination
#include "packet_skb.h"
#include "counted.h"

struct nfbpf_source_destination {
	nfbpf_gauge_t last_size;
#ifndef NFBPF_TEST_SHRUNK
	__u64 bytes;
#endif
	__u64 large_packets;
	__u64 packets;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct nfbpf_ipv4_key);
	__type(value, struct nfbpf_source_destination);
} nfbpf_ipv4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct nfbpf_ipv6_key);
	__type(value, struct nfbpf_source_destination);
} nfbpf_ipv6 SEC(".maps");

static __always_inline int count(const struct packet *p, void *map, const void *key)
{
	struct nfbpf_source_destination zero = {};
	struct nfbpf_source_destination *row = row_of(p, map, key, &zero);

	if (!row)
		return 1;
	row->last_size = p->bytes;
	row->packets += p->packets;
#ifndef NFBPF_TEST_SHRUNK
	row->bytes += p->bytes;
#endif
	if (p->bytes > 1000)
		row->large_packets += p->packets;
	return 1;
}

SEC("socket")
int nfbpf_grown(struct __sk_buff *skb)
{
	struct packet p = packet_of_skb(skb);
	struct nfbpf_ipv4_key ipv4;
	struct nfbpf_ipv6_key ipv6;

	if (p.family == NFBPF_FAMILY_IPV4) {
		if (load(skb, IPV4_TTL_OFFSET, &ipv4, sizeof(ipv4)))
			return 0;
		ipv4.direction = p.direction;
		ipv4.reserved = 0;
		return count(&p, &nfbpf_ipv4, &ipv4);
	}
	if (load(skb, IPV6_PAYLOAD_LENGTH_OFFSET, &ipv6, sizeof(ipv6)))
		return 0;
	ipv6.direction = p.direction;
	ipv6.reserved = 0;
	return count(&p, &nfbpf_ipv6, &ipv6);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
