// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * The least that counting by a per-CPU hash can be: a key of the same size, a
 * look-up, two additions. No packet is read.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "next_key.h"
#include "nfbpf.h"

#define BARE(_name, _key, _source)                                                                 \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_PERCPU_HASH);                                            \
		__uint(max_entries, 1024);                                                         \
		__type(key, struct _key);                                                          \
		__type(value, struct nfbpf_source_destination);                                    \
	} _name SEC(".maps");                                                                      \
                                                                                                   \
	SEC("socket")                                                                              \
	int count_##_name(struct __sk_buff *skb)                                                   \
	{                                                                                          \
		struct nfbpf_source_destination *row, zero = {};                                   \
		struct _key key = {};                                                              \
                                                                                                   \
		*(__u32 *)_source = next_source();                                                 \
		row = bpf_map_lookup_elem(&_name, &key);                                           \
		if (!row) {                                                                        \
			bpf_map_update_elem(&_name, &key, &zero, BPF_NOEXIST);                     \
			return 0;                                                                  \
		}                                                                                  \
		row->packets++;                                                                    \
		row->bytes += skb->len;                                                            \
		return 1;                                                                          \
	}

BARE(bare_ipv4, nfbpf_ipv4_key, &key.source)
BARE(bare_ipv6, nfbpf_ipv6_key, &key.source.byte[12])

char LICENSE[] SEC("license") = "Dual BSD/GPL";
