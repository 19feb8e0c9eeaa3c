// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of hooks, their registration per network namespace, and the hook
 * function itself.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bottom_half.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/preempt.h>
#include <linux/ratelimit.h>
#include <linux/string.h>
#include <net/net_namespace.h>

#include "hooks.h"
#include "program.h"
#include "stats.h"

static char *hooks = "in,forward,out";
module_param(hooks, charp, 0444);
MODULE_PARM_DESC(
	hooks,
	"Of pre, in, forward, out, post, each with an optional :PRIORITY (default in,forward,out)");

static char *families = "ipv4,ipv6";
module_param(families, charp, 0444);
MODULE_PARM_DESC(families, "Of ipv4, ipv6 (default both)");

static char *priority = "first";
module_param(priority, charp, 0444);
MODULE_PARM_DESC(priority, "first, last or a number, for hooks that name none (default first)");

static char *netns = "all";
module_param(netns, charp, 0444);
MODULE_PARM_DESC(netns, "all: every network namespace, present and future; init: the first only");

static bool netns_init_only;
static DEFINE_STATIC_KEY_FALSE(log_match);

static int log_set(const char *val, const struct kernel_param *kp)
{
	if (sysfs_streq(val, "match")) {
		static_branch_enable(&log_match);
	} else if (sysfs_streq(val, "off")) {
		static_branch_disable(&log_match);
	} else {
		pr_err("log: \"%s\" is unknown; give off or match\n", val);
		return -EINVAL;
	}
	return 0;
}

static int log_get(char *buffer, const struct kernel_param *kp)
{
	return sprintf(buffer, "%s\n", static_key_enabled(&log_match) ? "match" : "off");
}

static const struct kernel_param_ops log_ops = {
	.set = log_set,
	.get = log_get,
};

module_param_cb(log, &log_ops, NULL, 0644);
MODULE_PARM_DESC(log, "match: log packets for which the program returns non-zero (default off)");

#define HOOK(_index, _direction, _family, _name)                                                   \
	{                                                                                          \
		.index = _index, .direction = NFBPF_DIRECTION_##_direction,                        \
		.family = NFBPF_FAMILY_##_family, .name = _name,                                   \
	}

struct nfbpf_hook nfbpf_hooks[NFBPF_HOOKS_MAX] = {
	HOOK(0, PREROUTING, IPV4, "ipv4_prerouting"),
	HOOK(1, IN, IPV4, "ipv4_local_in"),
	HOOK(2, FORWARD, IPV4, "ipv4_forward"),
	HOOK(3, OUT, IPV4, "ipv4_local_out"),
	HOOK(4, POSTROUTING, IPV4, "ipv4_postrouting"),
	HOOK(5, PREROUTING, IPV6, "ipv6_prerouting"),
	HOOK(6, IN, IPV6, "ipv6_local_in"),
	HOOK(7, FORWARD, IPV6, "ipv6_forward"),
	HOOK(8, OUT, IPV6, "ipv6_local_out"),
	HOOK(9, POSTROUTING, IPV6, "ipv6_postrouting"),
};

/* Words that select hooks; the direction is the netfilter hook's number plus one. */
static const struct {
	const char *word;
	u8 direction;
} hook_words[] = {
	{"pre", NFBPF_DIRECTION_PREROUTING},   {"in", NFBPF_DIRECTION_IN},
	{"forward", NFBPF_DIRECTION_FORWARD},  {"out", NFBPF_DIRECTION_OUT},
	{"post", NFBPF_DIRECTION_POSTROUTING},
};

static_assert(NFBPF_DIRECTION_PREROUTING == NF_INET_PRE_ROUTING + 1);
static_assert(NFBPF_DIRECTION_IN == NF_INET_LOCAL_IN + 1);
static_assert(NFBPF_DIRECTION_FORWARD == NF_INET_FORWARD + 1);
static_assert(NFBPF_DIRECTION_OUT == NF_INET_LOCAL_OUT + 1);
static_assert(NFBPF_DIRECTION_POSTROUTING == NF_INET_POST_ROUTING + 1);

static int parse_priority(const char *word, int *value)
{
	if (!strcmp(word, "first"))
		*value = NF_IP_PRI_FIRST;
	else if (!strcmp(word, "last"))
		*value = NF_IP_PRI_LAST;
	else if (kstrtoint(word, 10, value))
		return -EINVAL;
	return 0;
}

static int select_hook(char *word, int default_priority)
{
	char *number = strchr(word, ':');
	int value = default_priority;
	u8 direction = 0;
	unsigned int i;

	if (number) {
		*number++ = '\0';
		if (parse_priority(number, &value)) {
			pr_err("hooks: \"%s\" is no priority; give first, last or a number\n",
			       number);
			return -EINVAL;
		}
	}
	for (i = 0; i < ARRAY_SIZE(hook_words); i++)
		if (!strcmp(word, hook_words[i].word))
			direction = hook_words[i].direction;
	if (!direction) {
		pr_err("hooks: unknown hook \"%s\"; known are pre, in, forward, out, post\n", word);
		return -EINVAL;
	}
	for (i = 0; i < NFBPF_HOOKS_MAX; i++) {
		if (nfbpf_hooks[i].direction != direction)
			continue;
		nfbpf_hooks[i].selected = true;
		nfbpf_hooks[i].priority = value;
	}
	return 0;
}

static int parse_hooks(int default_priority)
{
	char *copy, *rest, *word;
	int err = 0;

	copy = kstrdup(hooks, GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	rest = copy;
	while (!err && (word = strsep(&rest, ",")))
		err = select_hook(word, default_priority);
	kfree(copy);
	return err;
}

static int parse_families(void)
{
	bool wanted[] = {[NFBPF_FAMILY_IPV4] = false, [NFBPF_FAMILY_IPV6] = false};
	unsigned int i;

	if (!strcmp(families, "ipv4") || !strcmp(families, "ipv4,ipv6") ||
	    !strcmp(families, "ipv6,ipv4"))
		wanted[NFBPF_FAMILY_IPV4] = true;
	if (!strcmp(families, "ipv6") || !strcmp(families, "ipv4,ipv6") ||
	    !strcmp(families, "ipv6,ipv4"))
		wanted[NFBPF_FAMILY_IPV6] = true;
	if (!wanted[NFBPF_FAMILY_IPV4] && !wanted[NFBPF_FAMILY_IPV6]) {
		pr_err("families: \"%s\" is unknown; give ipv4, ipv6 or ipv4,ipv6\n", families);
		return -EINVAL;
	}
	for (i = 0; i < NFBPF_HOOKS_MAX; i++)
		if (!wanted[nfbpf_hooks[i].family])
			nfbpf_hooks[i].selected = false;
	return 0;
}

int nfbpf_hooks_parse(void)
{
	int default_priority, err;

	if (parse_priority(priority, &default_priority)) {
		pr_err("priority: \"%s\" is no priority; give first, last or a number\n", priority);
		return -EINVAL;
	}
	if (!strcmp(netns, "init")) {
		netns_init_only = true;
	} else if (strcmp(netns, "all")) {
		pr_err("netns: \"%s\" is unknown; give all or init\n", netns);
		return -EINVAL;
	}
	err = parse_hooks(default_priority);
	return err ?: parse_families();
}

/* The words as the program sees them. An array would ask for the stack protector. */
struct context_words {
	u32 direction;
	u32 family;
	u32 in_ifindex;
	u32 out_ifindex;
	u32 netns;
};

static_assert(sizeof(struct context_words) == BPF_SKB_CB_LEN);
static_assert(offsetof(struct context_words, direction) == NFBPF_CB_DIRECTION * sizeof(u32));
static_assert(offsetof(struct context_words, family) == NFBPF_CB_FAMILY * sizeof(u32));
static_assert(offsetof(struct context_words, in_ifindex) == NFBPF_CB_IN_IFINDEX * sizeof(u32));
static_assert(offsetof(struct context_words, out_ifindex) == NFBPF_CB_OUT_IFINDEX * sizeof(u32));
static_assert(offsetof(struct context_words, netns) == NFBPF_CB_NETNS * sizeof(u32));

/*
 * Runs the program with the context words in place, and puts back what was in
 * the control block: it belongs to IP (struct inet_skb_parm). BH must be off,
 * or a softirq on this CPU could run the program inside this run and count on
 * the same per-CPU value; RCU is held by nf_hook().
 */
static __always_inline u32 run_program(struct sk_buff *skb, const struct nfbpf_hook *hook,
				       const struct nf_hook_state *state)
{
	struct context_words *words = (struct context_words *)bpf_skb_cb(skb);
	struct context_words saved = *words;
	u32 result;

	memcpy(words, hook->words, sizeof(hook->words));
	words->in_ifindex = state->in ? state->in->ifindex : 0;
	words->out_ifindex = state->out ? state->out->ifindex : 0;
	words->netns = state->net->ns.inum;
	result = nfbpf_prog_run(rcu_dereference(nfbpf_program), skb);
	*words = saved;
	return result;
}

static noinline u32 run_program_timed(struct sk_buff *skb, const struct nfbpf_hook *hook,
				      const struct nf_hook_state *state)
{
	struct nfbpf_totals *totals = this_cpu_ptr(hook->totals);
	u64 start = ktime_get_ns();
	u32 result = run_program(skb, hook, state);

	totals->run_ns += ktime_get_ns() - start;
	totals->run_samples++;
	totals->since_sample = 0;
	return result;
}

static noinline void log_packet(const struct sk_buff *skb, u8 family)
{
	static DEFINE_RATELIMIT_STATE(limit, DEFAULT_RATELIMIT_INTERVAL, DEFAULT_RATELIMIT_BURST);

	if (!__ratelimit(&limit))
		return;
	if (family == NFBPF_FAMILY_IPV4)
		pr_info("%pI4 -> %pI4\n", &ip_hdr(skb)->saddr, &ip_hdr(skb)->daddr);
	else
		pr_info("%pI6c -> %pI6c\n", &ipv6_hdr(skb)->saddr, &ipv6_hdr(skb)->daddr);
}

static noinline void add_segments(struct nfbpf_totals *totals, const struct sk_buff *skb, u8 family)
{
	u32 packets, bytes;

	nfbpf_gso_wire_size(skb, family == NFBPF_FAMILY_IPV6, &packets, &bytes);
	totals->packets += packets;
	totals->bytes += bytes;
}

/* BH must be off. */
static noinline void meet_packet(const struct nfbpf_hook *hook, struct sk_buff *skb,
				 const struct nf_hook_state *state)
{
	struct nfbpf_totals *totals;
	u32 matched;

	/* Totals first: who reads the maps and then the totals never finds too few here. */
	totals = this_cpu_ptr(hook->totals);
	if (unlikely(skb_is_gso(skb))) {
		add_segments(totals, skb, hook->family);
	} else {
		totals->packets++;
		totals->bytes += skb->len;
	}
	if (static_branch_likely(&nfbpf_sampling) &&
	    unlikely(++totals->since_sample >= READ_ONCE(nfbpf_sample_every)))
		matched = run_program_timed(skb, hook, state);
	else
		matched = run_program(skb, hook, state);
	totals->matched += !!matched;
	if (static_branch_unlikely(&log_match) && matched)
		log_packet(skb, hook->family);
}

/* What comes in is met with BH off already; only what a process sends is not. */
static unsigned int hook_packet(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	if (softirq_count()) {
		meet_packet(priv, skb, state);
	} else {
		local_bh_disable();
		meet_packet(priv, skb, state);
		local_bh_enable();
	}
	return NF_ACCEPT;
}

static struct nf_hook_ops hook_ops[NFBPF_HOOKS_MAX];
static unsigned int hook_ops_count;

static int __net_init net_register(struct net *net)
{
	if (netns_init_only && !net_eq(net, &init_net))
		return 0;
	return nf_register_net_hooks(net, hook_ops, hook_ops_count);
}

static void __net_exit net_unregister(struct net *net)
{
	if (netns_init_only && !net_eq(net, &init_net))
		return;
	nf_unregister_net_hooks(net, hook_ops, hook_ops_count);
}

static struct pernet_operations net_ops = {
	.init = net_register,
	.exit = net_unregister,
};

int nfbpf_hooks_init(void)
{
	unsigned int i;
	int err;

	for (i = 0; i < NFBPF_HOOKS_MAX; i++) {
		struct nfbpf_hook *hook = &nfbpf_hooks[i];

		if (!hook->selected)
			continue;
		hook->totals = &nfbpf_totals[hook->index];
		hook->words[NFBPF_CB_DIRECTION] = hook->direction;
		hook->words[NFBPF_CB_FAMILY] = hook->family;
		hook_ops[hook_ops_count++] = (struct nf_hook_ops){
			.hook = hook_packet,
			.priv = hook,
			.pf = hook->family == NFBPF_FAMILY_IPV6 ? NFPROTO_IPV6 : NFPROTO_IPV4,
			.hooknum = hook->direction - 1,
			.priority = hook->priority,
		};
	}
	err = register_pernet_subsys(&net_ops);
	if (err) /* Some namespaces may have had their hooks for a moment. */
		synchronize_rcu();
	return err;
}

void nfbpf_hooks_uninit(void)
{
	unregister_pernet_subsys(&net_ops);
	/* Unregistering frees the hook tables by call_rcu() and waits for nobody. */
	synchronize_rcu();
}
