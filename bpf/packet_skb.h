/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* A packet as SEC("socket") sees it: by the module, by xt_bpf, by a test run. */
#ifndef NFBPF_PACKET_SKB_H
#define NFBPF_PACKET_SKB_H

#include <linux/if_ether.h>

typedef struct __sk_buff *access_t;

static __always_inline long load(access_t access, __u32 offset, void *to, __u32 size)
{
	return bpf_skb_load_bytes(access, offset, to, size);
}

#include "packet.h"

static __always_inline __u32 family_of_protocol(__u32 protocol)
{
	return protocol == bpf_htons(ETH_P_IP)	   ? NFBPF_FAMILY_IPV4
	       : protocol == bpf_htons(ETH_P_IPV6) ? NFBPF_FAMILY_IPV6
						   : NFBPF_FAMILY_UNKNOWN;
}

static __always_inline struct packet packet_of_skb(struct __sk_buff *skb)
{
	struct packet p = {
		.access = skb,
		.direction = skb->cb[NFBPF_CB_DIRECTION],
		.family = skb->cb[NFBPF_CB_FAMILY],
		.in_ifindex = skb->cb[NFBPF_CB_IN_IFINDEX],
		.out_ifindex = skb->cb[NFBPF_CB_OUT_IFINDEX],
		.netns = skb->cb[NFBPF_CB_NETNS],
		.packets = 1,
		.bytes = skb->len,
	};

	/* Or the compiler picks an address in the context and loads once: not allowed. */
	barrier_var(p.in_ifindex);
	if (!p.direction) { /* no context: what the packet itself tells */
		p.family = family_of_protocol(skb->protocol);
		p.in_ifindex = skb->ingress_ifindex;
	}
	if (skb->gso_size) {
		__u64 size = gso_wire_size(skb, p.family, skb->len, skb->gso_segs, skb->gso_size);

		p.packets = size >> 32;
		p.bytes = size & 0xffffffff;
	}
	return p;
}

#endif /* NFBPF_PACKET_SKB_H */
