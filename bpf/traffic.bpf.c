// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * The built-in program: who sends how much to whom.
 *
 * Parse the IP header, account to a row of its own, return 1 for a packet that
 * was accounted for and 0 for one that was left out on purpose.
 *
 * One source, four objects: as SEC("socket") for the module and for xt_bpf, and
 * with NFBPF_NETFILTER as SEC("netfilter") for the in-tree link. They are
 * separate objects because the second names kernel functions, and libbpf then
 * wants the kernel's BTF even where only the first is loaded. Each of the two
 * with NFBPF_FLOW has the wide keys; those of the others are what most people
 * want and cost a packet less.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "nfbpf.h"
#ifdef NFBPF_NETFILTER
#include "packet_netfilter.h"
#else
#include "packet_skb.h"
#endif
#include "buffers.h"
#include "filter.h"
#include "transport.h"

#ifdef NFBPF_FLOW
#define IPV4_KEY struct nfbpf_ipv4_flow_key
#define IPV6_KEY struct nfbpf_ipv6_flow_key
#define NEEDS_TRANSPORT true
#else
#define IPV4_KEY struct nfbpf_ipv4_key
#define IPV6_KEY struct nfbpf_ipv6_key
#define NEEDS_TRANSPORT filters
#endif

#define LOOPBACK_IFINDEX 1 /* include/net/flow.h: lo of every namespace has it */

/* Set by the loader before the load; constants to the verifier, so unused code vanishes. */
const volatile __u32 nfbpf_abi = NFBPF_ABI_MAJOR;
const volatile bool count_loopback = false;
/* An entry that leaves BH on can be interrupted between load and store. */
const volatile bool atomic_adds = false;

/* Bits of enum nfbpf_key_part. The addresses are chosen by their masks, in network order. */
const volatile __u32 key_parts = NFBPF_KEY_PART_DIRECTION | NFBPF_KEY_PART_PROTOCOL;
const volatile __u32 ipv4_source_mask = ~0U;
const volatile __u32 ipv4_destination_mask = ~0U;
const volatile __u32 ipv6_source_mask[4] = {~0U, ~0U, ~0U, ~0U};
const volatile __u32 ipv6_destination_mask[4] = {~0U, ~0U, ~0U, ~0U};
/* One packet in this many is counted, as if it were all of them. */
const volatile __u32 sample_every = 1;
const volatile bool filters = false;
/* All of these are as they stand here. One constant, because each that is asked costs a packet. */
const volatile bool plain = true;

#define PAIRS_DEFAULT 32768 /* of each buffer; the loader sets its own number */

#define PAIRS(_key)                                                                                \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_PERCPU_HASH);                                            \
		__uint(max_entries, PAIRS_DEFAULT);                                                \
		__type(key, _key);                                                                 \
		__type(value, struct nfbpf_source_destination);                                    \
	}

PAIRS(IPV4_KEY) nfbpf_ipv4 SEC(".maps");
PAIRS(IPV4_KEY) nfbpf_ipv4_b SEC(".maps");
PAIRS(IPV6_KEY) nfbpf_ipv6 SEC(".maps");
PAIRS(IPV6_KEY) nfbpf_ipv6_b SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, NFBPF_FILTERED_ROWS);
	__type(key, struct nfbpf_filtered_key);
	__type(value, struct nfbpf_filtered);
} nfbpf_filtered SEC(".maps");

/* The layout that all three value structs share. */
struct counters {
	__u64 packets;
	__u64 bytes;
};

static __always_inline void add(struct counters *row, __u64 packets, __u64 bytes)
{
	if (atomic_adds) {
		__sync_fetch_and_add(&row->packets, packets);
		__sync_fetch_and_add(&row->bytes, bytes);
	} else {
		row->packets += packets;
		row->bytes += bytes;
	}
}

/* Rows made on first use; the maps are sized for every key there can be. */
static __always_inline int add_named(void *map, const void *key, __u64 packets, __u64 bytes)
{
	struct counters *row = bpf_map_lookup_elem(map, key);
	struct counters zero = {};
	int err = 0;

	if (!row)
		row = make_row(map, key, &zero, &err);
	if (!row)
		return err ?: -ENOMEM;
	add(row, packets, bytes);
	return 0;
}

/* Out of line, so that the packet stays in registers on the way that is taken most. */
static __noinline int overflow(__u32 direction, __u32 family, __u64 packets, __u64 bytes, int err)
{
	struct nfbpf_overflow_key key = {
		.direction = direction,
		.family = family,
		.reason = overflow_reason(err),
	};

	add_named(&nfbpf_overflow, &key, packets, bytes);
	return 1;
}

static __noinline int filtered(__u32 direction, __u32 family, __u64 packets, __u64 bytes,
			       __u32 reason)
{
	struct nfbpf_filtered_key key = {
		.direction = direction,
		.family = family,
		.reason = reason,
	};

	int err = add_named(&nfbpf_filtered, &key, packets, bytes);

	return err ? overflow(direction, family, packets, bytes, err) : 0;
}

static __always_inline int account(const struct packet *p, void *map, void *map_b, const void *key)
{
	bool second = second_buffer();
	struct counters *row = lookup_buffered(second, map, map_b, key);
	struct counters zero = {};
	int err = 0;

	if (!row) {
		row = make_buffered_row(second, map, map_b, key, &zero, &err);
		if (!row)
			return overflow(p->direction, p->family, p->packets, p->bytes, err);
	}
	add(row, p->packets, p->bytes);
	return 1;
}

static __always_inline int leave_out(const struct packet *p, enum nfbpf_filtered_reason reason)
{
	return filtered(p->direction, p->family, p->packets, p->bytes, reason);
}

static __always_inline bool chosen(enum nfbpf_key_part part)
{
	return key_parts & part;
}

#ifdef NFBPF_FLOW

/* The ports are read once more than the filter did; what is not chosen costs nothing. */
static __always_inline void fill_flow(struct nfbpf_flow_members *flow, const struct packet *p,
				      const struct transport *t)
{
	if (chosen(NFBPF_KEY_PART_PORTS) || chosen(NFBPF_KEY_PART_SERVICE)) {
		struct ports ports = ports_of(p->access, t);

		if (chosen(NFBPF_KEY_PART_PORTS)) {
			flow->source_port = ports.source;
			flow->destination_port = ports.destination;
		}
		if (chosen(NFBPF_KEY_PART_SERVICE))
			flow->service_port = service_port(ports);
	}
	if (chosen(NFBPF_KEY_PART_ICMP) && t->offset &&
	    t->protocol == (p->family == NFBPF_FAMILY_IPV4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6) &&
	    load(p->access, t->offset, &flow->icmp_type, 2))
		flow->icmp_type = flow->icmp_code = 0;
	if (chosen(NFBPF_KEY_PART_INTERFACES)) {
		flow->in_interface = p->in_ifindex;
		flow->out_interface = p->out_ifindex;
	}
	if (chosen(NFBPF_KEY_PART_NETNS))
		flow->netns = p->netns;
}

/* What both families' keys share, from the header's own key and what stands behind it. */
#define FLOW_KEY(_p, _t, _head)                                                                    \
	{                                                                                          \
		.direction = (_head)->direction, .protocol = (_head)->protocol,                    \
		.tcp_class = chosen(NFBPF_KEY_PART_TCP_CLASS) ? tcp_class_of((_p)->access, _t)     \
							      : NFBPF_TCP_CLASS_NONE,              \
		.source = (_head)->source, .destination = (_head)->destination,                    \
	}

static __always_inline int account_ipv4(const struct packet *p, const struct transport *t,
					const struct nfbpf_ipv4_key *head)
{
	struct nfbpf_ipv4_flow_key key = FLOW_KEY(p, t, head);

	fill_flow((struct nfbpf_flow_members *)&key.source_port, p, t);
	return account(p, &nfbpf_ipv4, &nfbpf_ipv4_b, &key);
}

static __always_inline int account_ipv6(const struct packet *p, const struct transport *t,
					const struct nfbpf_ipv6_key *head)
{
	struct nfbpf_ipv6_flow_key key = FLOW_KEY(p, t, head);

	fill_flow((struct nfbpf_flow_members *)&key.source_port, p, t);
	return account(p, &nfbpf_ipv6, &nfbpf_ipv6_b, &key);
}

#else

static __always_inline int account_ipv4(const struct packet *p, const struct transport *t,
					const struct nfbpf_ipv4_key *head)
{
	(void)t;
	return account(p, &nfbpf_ipv4, &nfbpf_ipv4_b, head);
}

static __always_inline int account_ipv6(const struct packet *p, const struct transport *t,
					const struct nfbpf_ipv6_key *head)
{
	(void)t;
	return account(p, &nfbpf_ipv6, &nfbpf_ipv6_b, head);
}

#endif

static __always_inline void mask_ipv6(nfbpf_ipv6_t *address, const volatile __u32 mask[4])
{
	__u32 words[4];

	__builtin_memcpy(words, address, sizeof(words));
	for (int i = 0; i < 4; i++)
		words[i] &= mask[i];
	__builtin_memcpy(address, words, sizeof(words));
}

/* One copy out of the header makes the key: see the order of its members. */
static __always_inline int traffic_ipv4(const struct packet *p)
{
	struct nfbpf_ipv4_key key;
	struct transport t = {};

	if (load(p->access, IPV4_TTL_OFFSET, &key, sizeof(key)))
		return leave_out(p, NFBPF_FILTERED_REASON_MALFORMED);
	if (NEEDS_TRANSPORT)
		t = transport_of_ipv4(p->access, key.protocol);
	if (filters && !ipv4_passes(p->access, &t, key.source, key.destination))
		return leave_out(p, NFBPF_FILTERED_REASON_RULE);
	key.direction = chosen(NFBPF_KEY_PART_DIRECTION) ? p->direction : 0;
	key.reserved = 0;
	if (!chosen(NFBPF_KEY_PART_PROTOCOL))
		key.protocol = 0;
	key.source &= ipv4_source_mask;
	key.destination &= ipv4_destination_mask;
	return account_ipv4(p, &t, &key);
}

static __always_inline int traffic_ipv6(const struct packet *p)
{
	struct nfbpf_ipv6_key key;
	struct transport t;

	if (load(p->access, IPV6_PAYLOAD_LENGTH_OFFSET, &key, sizeof(key)))
		return leave_out(p, NFBPF_FILTERED_REASON_MALFORMED);
	t = transport_of_ipv6(p->access, key.protocol);
	if (filters && !ipv6_passes(p->access, &t, &key.source, &key.destination))
		return leave_out(p, NFBPF_FILTERED_REASON_RULE);
	key.protocol = chosen(NFBPF_KEY_PART_PROTOCOL) ? t.protocol : 0;
	key.direction = chosen(NFBPF_KEY_PART_DIRECTION) ? p->direction : 0;
	key.reserved = 0;
	mask_ipv6(&key.source, ipv6_source_mask);
	mask_ipv6(&key.destination, ipv6_destination_mask);
	return account_ipv6(p, &t, &key);
}

static __always_inline int traffic(struct packet *p)
{
	if (sample_every > 1) {
		if (bpf_get_prandom_u32() % sample_every)
			return 1;
		p->packets *= sample_every;
		p->bytes *= sample_every;
	}
	if (!count_loopback &&
	    (p->in_ifindex == LOOPBACK_IFINDEX || p->out_ifindex == LOOPBACK_IFINDEX))
		return leave_out(p, NFBPF_FILTERED_REASON_LOOPBACK);
	if (p->family == NFBPF_FAMILY_IPV4)
		return traffic_ipv4(p);
	if (p->family == NFBPF_FAMILY_IPV6)
		return traffic_ipv6(p);
	return leave_out(p, NFBPF_FILTERED_REASON_MALFORMED);
}

#ifdef NFBPF_NETFILTER

#define NF_ACCEPT 1

SEC("netfilter")
int nfbpf_traffic(struct bpf_nf_ctx *ctx)
{
	struct bpf_dynptr data;
	struct packet p;

	if (bpf_dynptr_from_skb((struct __sk_buff *)ctx->skb, 0, &data))
		return NF_ACCEPT;
	p = packet_of_netfilter(ctx, &data);
	traffic(&p);
	return NF_ACCEPT;
}

#elif defined(NFBPF_FLOW)

SEC("socket")
int nfbpf_traffic(struct __sk_buff *skb)
{
	struct packet p = packet_of_skb(skb);

	return traffic(&p);
}

#else

static __noinline int any_packet(struct __sk_buff *skb)
{
	struct packet p = packet_of_skb(skb);

	return traffic(&p);
}

/* What the long way may count elsewhere, or more than once, is left to it. */
static __always_inline bool may_go_short(const struct __sk_buff *skb)
{
	__u32 in = skb->cb[NFBPF_CB_IN_IFINDEX];

	barrier_var(in); /* or it becomes an address in the context: not allowed */
	return !skb->gso_size && in != LOOPBACK_IFINDEX &&
	       skb->cb[NFBPF_CB_OUT_IFINDEX] != LOOPBACK_IFINDEX &&
	       skb->ingress_ifindex != LOOPBACK_IFINDEX;
}

/* Only where plain adds are exact: see atomic_adds, with which the loader takes `plain` back. */
static __always_inline bool add_to_row(struct counters *row, const struct __sk_buff *skb)
{
	if (!row)
		return false;
	row->packets++;
	row->bytes += skb->len;
	return true;
}

static __always_inline bool add_ipv4(struct __sk_buff *skb)
{
	struct nfbpf_ipv4_key key;

	if (load(skb, IPV4_TTL_OFFSET, &key, sizeof(key)))
		return false;
	key.direction = skb->cb[NFBPF_CB_DIRECTION];
	key.reserved = 0;
	return add_to_row(lookup_buffered(second_buffer(), &nfbpf_ipv4, &nfbpf_ipv4_b, &key), skb);
}

static __always_inline bool add_ipv6(struct __sk_buff *skb)
{
	struct nfbpf_ipv6_key key;

	if (load(skb, IPV6_PAYLOAD_LENGTH_OFFSET, &key, sizeof(key)) ||
	    is_ipv6_extension(key.protocol))
		return false;
	key.direction = skb->cb[NFBPF_CB_DIRECTION];
	key.reserved = 0;
	return add_to_row(lookup_buffered(second_buffer(), &nfbpf_ipv6, &nfbpf_ipv6_b, &key), skb);
}

/*
 * The short way adds to a row that exists. It asks the context again rather
 * than keep what it said: that is one instruction, and a register that
 * outlives a call is two. All else goes the long way.
 */
SEC("socket")
int nfbpf_traffic(struct __sk_buff *skb)
{
	if (plain && may_go_short(skb)) {
		if (skb->protocol == bpf_htons(ETH_P_IP) && add_ipv4(skb))
			return 1;
		if (skb->protocol == bpf_htons(ETH_P_IPV6) && add_ipv6(skb))
			return 1;
	}
	return any_packet(skb);
}

#endif

char LICENSE[] SEC("license") = "Dual BSD/GPL";
