/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The filters of abi/nfbpf.h. The maps are changed while packets flow, a rule
 * at a time: a packet sees the rules before or after such a change.
 */
#ifndef NFBPF_FILTER_H
#define NFBPF_FILTER_H

#include "transport.h"

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, NFBPF_FILTER_PREFIXES);
	__type(key, struct nfbpf_filter_ipv4_key);
	__type(value, __u32);
} nfbpf_filter_ipv4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, NFBPF_FILTER_PREFIXES);
	__type(key, struct nfbpf_filter_ipv6_key);
	__type(value, __u32);
} nfbpf_filter_ipv6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u32);
} nfbpf_filter_protocol SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, NFBPF_FILTER_PORTS);
	__type(key, nfbpf_port_t);
	__type(value, __u32);
} nfbpf_filter_port SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nfbpf_filter_policy);
} nfbpf_filter_policy SEC(".maps");

static __always_inline __u32 rule_of(void *map, const void *key)
{
	const __u32 *verdict = bpf_map_lookup_elem(map, key);

	return verdict ? *verdict : NFBPF_VERDICT_NONE;
}

/* Two sides are judged together: deny wins, then allow, then the policy. */
static __always_inline bool passes(__u32 a, __u32 b, __u32 policy)
{
	if (a == NFBPF_VERDICT_DENY || b == NFBPF_VERDICT_DENY)
		return false;
	if (a == NFBPF_VERDICT_ALLOW || b == NFBPF_VERDICT_ALLOW)
		return true;
	return policy != NFBPF_VERDICT_DENY;
}

static __always_inline const struct nfbpf_filter_policy *filter_policy(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&nfbpf_filter_policy, &zero);
}

static __always_inline bool ports_pass(struct ports ports, __u32 policy)
{
	return passes(rule_of(&nfbpf_filter_port, &ports.source),
		      rule_of(&nfbpf_filter_port, &ports.destination), policy);
}

/* Ports that are not in this packet (a later fragment, a cut-off header) have no rule. */
static __always_inline bool transport_passes(access_t access, const struct transport *t,
					     const struct nfbpf_filter_policy *policy)
{
	struct ports ports;

	if (!passes(rule_of(&nfbpf_filter_protocol, &t->protocol), NFBPF_VERDICT_NONE,
		    policy->protocol))
		return false;
	if (!read_ports(access, t, &ports))
		return true;
	return ports_pass(ports, policy->port);
}

static __always_inline bool ipv4_passes(access_t access, const struct transport *t,
					nfbpf_ipv4_t source, nfbpf_ipv4_t destination)
{
	const struct nfbpf_filter_policy *policy = filter_policy();
	struct nfbpf_filter_ipv4_key key = {.prefix_length = 32, .address = source};
	__u32 verdict;

	if (!policy)
		return true;
	verdict = rule_of(&nfbpf_filter_ipv4, &key);
	key.address = destination;
	return passes(verdict, rule_of(&nfbpf_filter_ipv4, &key), policy->ipv4) &&
	       transport_passes(access, t, policy);
}

static __always_inline bool ipv6_passes(access_t access, const struct transport *t,
					const nfbpf_ipv6_t *source, const nfbpf_ipv6_t *destination)
{
	const struct nfbpf_filter_policy *policy = filter_policy();
	struct nfbpf_filter_ipv6_key key = {.prefix_length = 128, .address = *source};
	__u32 verdict;

	if (!policy)
		return true;
	verdict = rule_of(&nfbpf_filter_ipv6, &key);
	key.address = *destination;
	return passes(verdict, rule_of(&nfbpf_filter_ipv6, &key), policy->ipv6) &&
	       transport_passes(access, t, policy);
}

#endif /* NFBPF_FILTER_H */
