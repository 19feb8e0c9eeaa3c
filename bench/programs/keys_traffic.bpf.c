// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* The traffic program as it is, whose packets come from a source of the bench's choice. */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "next_key.h"
#include "nfbpf.h"

static __always_inline long load_with_next_source(const void *skb, __u32 offset, void *to,
						  __u32 len)
{
	long err = bpf_skb_load_bytes(skb, offset, to, len);

	if (len == sizeof(struct nfbpf_ipv4_key))
		((struct nfbpf_ipv4_key *)to)->source = next_source();
	else if (len == sizeof(struct nfbpf_ipv6_key))
		*(__u32 *)&((struct nfbpf_ipv6_key *)to)->source.byte[12] = next_source();
	return err;
}
#define bpf_skb_load_bytes load_with_next_source

#include "../../bpf/traffic.bpf.c"
