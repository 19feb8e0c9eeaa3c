// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * How large packets are: a histogram of the bytes of IP packets as they are on
 * the wire, by direction and family. Its count is the packets, its sum the bytes.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "nfbpf.h"
#include "packet_skb.h"
#include "counted.h"

#define SIZE_ROWS 18  /* directions x families */
#define SIZE_SLOTS 17 /* IPv6's header is not in its 65535 */

struct nfbpf_packet_size_key {
	enum nfbpf_direction direction;
	enum nfbpf_family family;
	nfbpf_reserved16_t reserved;
};

/* nfbpf_packet_size_bytes */
struct nfbpf_packet_size {
	nfbpf_log2_slot_t bytes[SIZE_SLOTS];
	__u64 bytes_sum;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, SIZE_ROWS);
	__type(key, struct nfbpf_packet_size_key);
	__type(value, struct nfbpf_packet_size);
} nfbpf_packet_size SEC(".maps");

static void add(struct nfbpf_packet_size *row, __u64 packets, __u64 bytes)
{
	ADD(row->bytes[log2_slot(bytes, SIZE_SLOTS)], packets);
}

/*
 * All segments of a GSO packet but the last are full. Where the number of
 * segments does not fit their size, as a guest may have it, all count as the
 * mean.
 */
static __always_inline void add_segments(struct nfbpf_packet_size *row, const struct packet *p,
					 __u32 length, __u32 gso_size)
{
	__u64 others = p->packets - 1;
	__u64 full = (p->bytes - length) / others + gso_size;
	__u64 last = p->bytes - others * full;

	if (!last || last > full) { /* below zero is huge */
		add(row, p->packets, p->bytes / p->packets);
		return;
	}
	add(row, others, full);
	add(row, 1, last);
}

SEC("socket")
int count_packet_size(struct __sk_buff *skb)
{
	struct packet p = packet_of_skb(skb);
	struct nfbpf_packet_size_key key = {.direction = p.direction, .family = p.family};
	struct nfbpf_packet_size zero = {};
	struct nfbpf_packet_size *row = row_of(&p, &nfbpf_packet_size, &key, &zero);

	if (!row)
		return 1;
	ADD(row->bytes_sum, p.bytes);
	if (p.packets > 1)
		add_segments(row, &p, skb->len, skb->gso_size);
	else
		add(row, 1, p.bytes);
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
