// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Nothing, so that what it costs is what an entry costs. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("socket")
int nfbpf_empty(struct __sk_buff *skb)
{
	(void)skb;
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
