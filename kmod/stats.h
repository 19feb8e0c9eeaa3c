/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NFBPF_STATS_H
#define NFBPF_STATS_H

#include <linux/jump_label.h>
#include <linux/percpu.h>
#include <linux/skbuff.h>
#include <linux/types.h>

/* Five hooks times two families. */
#define NFBPF_HOOKS_MAX 10

/**
 * struct nfbpf_totals - what one CPU saw at one hook
 * @packets: as on the wire: a GSO packet counts once per segment
 * @bytes: of IP packets, with the headers that GSO will repeat
 * @matched: packets for which the program returned non-zero; not per segment
 * @run_ns: time that the sampled runs of the program took
 * @run_samples: how many runs were sampled
 * @since_sample: runs since the last sample
 *
 * Written with BH off by its own CPU only, so plain adds are exact (not so on
 * PREEMPT_RT, which nfbpf_init() refuses). One cache
 * line, so that a packet touches no second one for its totals.
 */
struct nfbpf_totals {
	u64 packets;
	u64 bytes;
	u64 matched;
	u64 run_ns;
	u64 run_samples;
	u32 since_sample;
} ____cacheline_aligned_in_smp;

DECLARE_PER_CPU_ALIGNED(struct nfbpf_totals[NFBPF_HOOKS_MAX], nfbpf_totals);

/* Runs from one sample to the next; 0 turns the sampling off. */
extern unsigned int nfbpf_sample_every;
DECLARE_STATIC_KEY_TRUE(nfbpf_sampling);

/**
 * nfbpf_gso_wire_size() - what a GSO packet will be on the wire
 * @skb: a packet for which skb_is_gso() holds, data at the network header
 * @ipv6: whether it is IPv6
 * @packets: gets the number of segments
 * @bytes: gets their IP bytes, repeated headers included
 */
void nfbpf_gso_wire_size(const struct sk_buff *skb, bool ipv6, u32 *packets, u32 *bytes);

/**
 * nfbpf_stats_init() - show hooks/ and program/ in /sys/module/nfbpf
 *
 * Return: 0 or -errno of the sysfs call that failed; nothing is left then.
 */
int nfbpf_stats_init(void);

/** nfbpf_stats_uninit() - take the files away; waits for readers inside them */
void nfbpf_stats_uninit(void);

#endif /* NFBPF_STATS_H */
