// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * DNS over UDP: queries, response codes, and how long servers take. Returns 1,
 * "matches", for a query to port 53 and a response from there. It must see
 * both directions, and each packet once.
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
#define RESPONSES_DEFAULT 4096
#define DNS_PORT bpf_htons(53)

/* IANA DNS RCODEs; those without a name are shown as numbers. */
enum dns_rcode {
	DNS_RCODE_NOERROR = 0,
	DNS_RCODE_FORMERR = 1,
	DNS_RCODE_SERVFAIL = 2,
	DNS_RCODE_NXDOMAIN = 3,
	DNS_RCODE_NOTIMP = 4,
	DNS_RCODE_REFUSED = 5,
	DNS_RCODE_YXDOMAIN = 6,
	DNS_RCODE_YXRRSET = 7,
	DNS_RCODE_NXRRSET = 8,
	DNS_RCODE_NOTAUTH = 9,
	DNS_RCODE_NOTZONE = 10,
} __attribute__((packed));

/* See struct request_counts. */
struct nfbpf_dns {
	nfbpf_log2_slot_t latency_ns[LATENCY_SLOTS];
	__u64 latency_ns_sum;
	__u64 queries;
	__u64 abandoned;
	__u64 untimed;
};
ASSERT_REQUEST_COUNTS(struct nfbpf_dns, queries);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, SERVERS_DEFAULT);
	__type(key, struct nfbpf_server_key);
	__type(value, struct nfbpf_dns);
} nfbpf_dns SEC(".maps");

struct nfbpf_dns_responses_key {
	union address server;
	enum nfbpf_family family;
	enum dns_rcode rcode;
	nfbpf_reserved16_t reserved;
};

/* A scalar takes the map's name: nfbpf_dns_responses_total. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, RESPONSES_DEFAULT);
	__type(key, struct nfbpf_dns_responses_key);
	__type(value, __u64);
} nfbpf_dns_responses SEC(".maps");

static const struct nfbpf_dns zero; /* more than the stack has room for */

/* UDP's header and the first half of RFC 1035's. */
struct dns_head {
	__u16 source;
	__u16 destination;
	__u16 length;
	__u16 checksum;
	__u16 id;
	__u8 flags; /* the highest bit: a response */
	__u8 rcode; /* the lower half */
};

static __always_inline void count_response(const struct packet *p, const struct request *request,
					   __u8 rcode)
{
	struct nfbpf_dns_responses_key key = {
		.server = request->server, .family = p->family, .rcode = rcode & 0xf};
	__u64 none = 0;
	__u64 *responses = row_of(p, &nfbpf_dns_responses, &key, &none);

	if (responses)
		ADD(*responses, 1);
	count_end(p, &nfbpf_dns, &zero, request);
}

SEC("socket")
int count_dns(struct __sk_buff *skb)
{
	struct packet p = packet_of_skb(skb);
	struct transport t = transport_of(&p);
	struct request request = {.server_port = DNS_PORT, .family = p.family};
	struct addresses a;
	struct dns_head dns;

	if (t.protocol != PROTOCOL_UDP || !t.offset || load(skb, t.offset, &dns, sizeof(dns)) ||
	    !load_addresses(&p, &a))
		return 0;
	request.token = dns.id;
	if (dns.destination == DNS_PORT && !(dns.flags & 0x80)) {
		request.client = a.source;
		request.client_port = dns.source;
		request.server = a.destination;
		count_begin(&p, &nfbpf_dns, &zero, &request);
		return 1;
	}
	if (dns.source == DNS_PORT && dns.flags & 0x80) {
		request.client = a.destination;
		request.client_port = dns.destination;
		request.server = a.source;
		count_response(&p, &request, dns.rcode);
		return 1;
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
