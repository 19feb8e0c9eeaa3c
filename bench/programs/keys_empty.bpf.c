// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Makes the key that the others count by, and counts nothing: what is to be subtracted. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "next_key.h"

__u32 sink;

SEC("socket")
int nfbpf_keys_empty(struct __sk_buff *skb)
{
	(void)skb;
	sink = next_source();
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
