// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * How long servers take from SYN to SYN-ACK, and how connections fail. Returns
 * 1, "matches", for SYN, SYN-ACK and RST.
 *
 * It must see both directions, and each packet once: two hooks that a packet
 * passes count its reset twice.
 */
#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "nfbpf.h"
#include "packet_skb.h"
#include "address.h"
#include "counted.h"
#include "pending.h"

#define SERVERS_DEFAULT 1024

/* See struct request_counts; an attempt may also be refused. */
struct nfbpf_tcp_handshake {
	nfbpf_log2_slot_t latency_ns[LATENCY_SLOTS];
	__u64 latency_ns_sum;
	__u64 attempts; /* SYNs */
	__u64 abandoned;
	__u64 untimed;
	__u64 refused; /* by RST */
	__u64 resets;  /* of what was no attempt any more, from either side */
};
ASSERT_REQUEST_COUNTS(struct nfbpf_tcp_handshake, attempts);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, SERVERS_DEFAULT);
	__type(key, struct nfbpf_server_key);
	__type(value, struct nfbpf_tcp_handshake);
} nfbpf_tcp_handshake SEC(".maps");

static const struct nfbpf_tcp_handshake zero; /* more than the stack has room for */

struct tcp_head {
	__u16 source;
	__u16 destination;
	__u32 sequence;
	__u32 acknowledgment;
	__u8 data_offset;
	__u8 flags;
};

/* `request` is what it answers if a server sent it; else the lower port is the server's. */
static __always_inline void count_reset(const struct packet *p, const struct request *request)
{
	struct nfbpf_tcp_handshake *row;
	bool by_server = bpf_ntohs(request->server_port) <= bpf_ntohs(request->client_port);
	__u64 ns;
	bool refused = end(request, &ns);

	row = server_row(p, &nfbpf_tcp_handshake, &zero,
			 refused || by_server ? &request->server : &request->client, p->family);
	if (!row)
		return;
	if (refused)
		ADD(row->refused, 1);
	else
		ADD(row->resets, 1);
}

/* A SYN is told by the number that its answer acknowledges. */
SEC("socket")
int time_handshake(struct __sk_buff *skb)
{
	struct packet p = packet_of_skb(skb);
	struct transport t = transport_of(&p);
	struct request request = {.family = p.family};
	struct addresses a;
	struct tcp_head tcp;

	if (t.protocol != PROTOCOL_TCP || !t.offset ||
	    load(skb, t.offset, &tcp, offsetof(struct tcp_head, flags) + 1) ||
	    !(tcp.flags & (TCP_SYN | TCP_RST)) || !load_addresses(&p, &a))
		return 0;
	if ((tcp.flags & (TCP_SYN | TCP_RST | TCP_ACK)) == TCP_SYN) {
		request.client = a.source;
		request.server = a.destination;
		request.client_port = tcp.source;
		request.server_port = tcp.destination;
		request.token = bpf_ntohl(tcp.sequence) + 1;
		count_begin(&p, &nfbpf_tcp_handshake, &zero, &request);
		return 1;
	}
	request.client = a.destination;
	request.server = a.source;
	request.client_port = tcp.destination;
	request.server_port = tcp.source;
	request.token = bpf_ntohl(tcp.acknowledgment);
	if (tcp.flags & TCP_RST)
		count_reset(&p, &request);
	else
		count_end(&p, &nfbpf_tcp_handshake, &zero, &request);
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
