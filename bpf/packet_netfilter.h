/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* A packet as SEC("netfilter") sees it: the in-tree link, Linux 6.4 and later. */
#ifndef NFBPF_PACKET_NETFILTER_H
#define NFBPF_PACKET_NETFILTER_H

#include <bpf/bpf_core_read.h>

/* The members that we read; libbpf finds where they are in the running kernel. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct net_device {
	int ifindex;
};
struct sk_buff {
	unsigned int len;
	unsigned char *head;
	unsigned int end;
};
struct skb_shared_info {
	unsigned short gso_size;
	unsigned short gso_segs;
};
struct ns_common {
	unsigned int inum;
};
struct net {
	struct ns_common ns;
};
struct nf_hook_state {
	__u8 hook;
	__u8 pf;
	struct net_device *in;
	struct net_device *out;
	struct net *net;
};
struct bpf_nf_ctx {
	const struct nf_hook_state *state;
	struct sk_buff *skb;
};
#pragma clang attribute pop

#define NFPROTO_IPV4 2 /* uapi/linux/netfilter.h */
#define NFPROTO_IPV6 10

extern int bpf_dynptr_from_skb(struct __sk_buff *skb, __u64 flags,
			       struct bpf_dynptr *ptr__uninit) __ksym;
extern void *bpf_dynptr_slice(const struct bpf_dynptr *ptr, __u32 offset, void *buffer,
			      __u32 buffer__szk) __ksym;
extern void *bpf_rdonly_cast(void *obj, __u32 btf_id) __ksym;

typedef const struct bpf_dynptr *access_t;

/* A slice points into the packet where it is in one piece, else into `to`. */
static __always_inline long load(access_t access, __u32 offset, void *to, const __u32 size)
{
	const void *slice = bpf_dynptr_slice(access, offset, to, size);

	if (!slice)
		return -1;
	if (slice != to)
		__builtin_memcpy(to, slice, size);
	return 0;
}

#include "packet.h"

static __always_inline struct packet packet_of_netfilter(struct bpf_nf_ctx *ctx, access_t data)
{
	const struct nf_hook_state *state = ctx->state;
	struct sk_buff *skb = ctx->skb;
	const struct skb_shared_info *shared = bpf_rdonly_cast(
		skb->head + skb->end, bpf_core_type_id_kernel(struct skb_shared_info));
	struct packet p = {
		.access = data,
		.direction = state->hook + 1,
		.family = state->pf == NFPROTO_IPV4   ? NFBPF_FAMILY_IPV4
			  : state->pf == NFPROTO_IPV6 ? NFBPF_FAMILY_IPV6
						      : NFBPF_FAMILY_UNKNOWN,
		.netns = state->net->ns.inum,
		.packets = 1,
		.bytes = skb->len,
	};

	if (state->in)
		p.in_ifindex = state->in->ifindex;
	if (state->out)
		p.out_ifindex = state->out->ifindex;
	if (shared->gso_size) {
		__u64 size =
			gso_wire_size(data, p.family, skb->len, shared->gso_segs, shared->gso_size);

		p.packets = size >> 32;
		p.bytes = size & 0xffffffff;
	}
	return p;
}

#endif /* NFBPF_PACKET_NETFILTER_H */
