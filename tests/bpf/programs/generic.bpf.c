// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * One map for every way in which the exporter shows a member, and a nasty one
 * for every way in which it cannot. The test writes the rows; the program is
 * there to be loaded.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "nfbpf.h"

enum tcp_bit {
	TCP_BIT_FIN = 1,
	TCP_BIT_SYN = 2,
	TCP_BIT_ACK = 16,
} __attribute__((packed));
typedef enum tcp_bit nfbpf_flags_tcp_t;

/* 28 bytes without padding. */
struct session_key {
	union {
		nfbpf_ipv4_t v4;
		nfbpf_ipv6_t v6;
	} client;
	nfbpf_mac_t mac;
	enum nfbpf_family family;
	nfbpf_flags_tcp_t flags;
	nfbpf_ifname_t interface;
};

struct session {
	__u64 packets;
	nfbpf_gauge_t open;
	__s32 balance;
	__u32 resets;
	__u64 busy_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 16);
	__type(key, struct session_key);
	__type(value, struct session);
} session SEC(".maps");

struct command_key {
	char comm[16];
};

enum size_bounds {
	SIZE_SMALL = 64,
	SIZE_MEDIUM = 576,
	SIZE_LARGE = 1500,
};

struct command {
	nfbpf_log2_slot_t wait_ns[8];
	__u64 wait_ns_sum;
	__u64 size_bytes[4];
	__u64 size_bytes_sum;
	enum size_bounds size_bytes_bounds[0];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, struct command_key);
	__type(value, struct command);
} command SEC(".maps");

#define tagged(kind) __attribute__((btf_decl_tag("nfbpf:" kind)))
struct tagged_key {
	__u32 server tagged("ipv4");
	__u8 name[4] tagged("string");
};

struct tagged {
	__u64 depth tagged("gauge");
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, struct tagged_key);
	__type(value, struct tagged);
} tagged SEC(".maps");

/* What cannot be shown. */

struct three {
	__u8 byte[3];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct three);
} nasty_three_bytes SEC(".maps");

struct long_key {
	char text[500];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, struct long_key);
	__type(value, struct session);
} nasty_long_key SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__uint(value_size, 8);
} nasty_no_btf SEC(".maps");

struct node {
	struct node *next;
	__u64 hits;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct node);
} nasty_cyclic SEC(".maps");

struct bits_key {
	__u32 low : 4;
	__u32 high : 28;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, struct bits_key);
	__type(value, struct session);
} nasty_bits SEC(".maps");

struct either_key {
	union {
		__u32 number;
		__u8 byte[4];
	} what;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, struct either_key);
	__type(value, struct session);
} nasty_union SEC(".maps");

/* A name of the module's totals. */
struct nfbpf_hook {
	__u64 packets;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nfbpf_hook);
} nasty_hook SEC(".maps");

/* A name of the exporter's own: nfbpf_scrape_errors_total. */
struct nfbpf_scrape {
	__u64 errors;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nfbpf_scrape);
} nasty_scrape SEC(".maps");

/* Not nasty: a struct without a name takes the map's. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(
		value, struct { __u64 hits; });
} unnamed SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} nasty_events SEC(".maps");

SEC("socket")
int generic(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct nfbpf_hook *row = bpf_map_lookup_elem(&nasty_hook, &zero);

	if (row)
		row->packets += 1;
	return skb->len != 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
