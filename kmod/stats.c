// SPDX-License-Identifier: GPL-2.0-only
/*
 * Totals per hook: kept per CPU, shown summed in /sys/module/nfbpf/hooks.
 */
#include <linux/build_bug.h>
#include <linux/cpumask.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/sysfs.h>
#include <linux/timekeeping.h>
#include <linux/sctp.h>
#include <linux/udp.h>
#include <net/ipv6.h>

#include "hooks.h"
#include "program.h"
#include "stats.h"

DEFINE_PER_CPU_ALIGNED(struct nfbpf_totals[NFBPF_HOOKS_MAX], nfbpf_totals);

/* A 32-bit reader could see half of a 64-bit add. */
static_assert(IS_ENABLED(CONFIG_64BIT), "nfbpf needs a 64-bit kernel");

unsigned int nfbpf_sample_every __read_mostly = 1024;
DEFINE_STATIC_KEY_TRUE(nfbpf_sampling);

static int sample_set(const char *val, const struct kernel_param *kp)
{
	int err = param_set_uint(val, kp);

	if (err)
		return err;
	if (nfbpf_sample_every)
		static_branch_enable(&nfbpf_sampling);
	else
		static_branch_disable(&nfbpf_sampling);
	return 0;
}

static const struct kernel_param_ops sample_ops = {
	.set = sample_set,
	.get = param_get_uint,
};

module_param_cb(sample, &sample_ops, &nfbpf_sample_every, 0644);
MODULE_PARM_DESC(sample,
		 "Time one run of the program in this many per CPU (default 1024, 0: none)");

#define EXTENSIONS_MAX 8

/*
 * Past the extension headers, as skip_ipv6_extensions() of bpf/packet.h walks
 * them: two walks that differ would let a crafted packet break conservation.
 * 0 says that the header behind them is not in this packet.
 */
static int skip_extensions(const struct sk_buff *skb, u8 *protocol)
{
	int offset = sizeof(struct ipv6hdr);
	int i;

	for (i = 0; i < EXTENSIONS_MAX; i++) {
		bool fragment = *protocol == NEXTHDR_FRAGMENT;
		bool authentication = *protocol == NEXTHDR_AUTH;
		const u8 *header;
		u8 _header[4];

		if (*protocol == NEXTHDR_NONE || !ipv6_ext_hdr(*protocol))
			break;
		header = skb_header_pointer(skb, offset, sizeof(_header), _header);
		if (!header)
			return 0;
		*protocol = header[0];
		if (fragment && (header[2] || header[3] & 0xf8))
			return 0;
		if (fragment)
			offset += 8;
		else if (authentication)
			offset += (header[1] + 2) * 4;
		else
			offset += (header[1] + 1) * 8;
	}
	return offset;
}

/* Bytes of the headers that each segment repeats: IP with its extensions, and the transport's. */
static u32 repeated_headers(const struct sk_buff *skb, bool ipv6)
{
	const u8 *doff;
	u8 _doff, protocol;
	int offset;

	if (ipv6) {
		protocol = ipv6_hdr(skb)->nexthdr;
		offset = skip_extensions(skb, &protocol);
		if (!offset)
			return sizeof(struct ipv6hdr);
	} else {
		protocol = ip_hdr(skb)->protocol;
		offset = ip_hdr(skb)->ihl * 4;
	}
	switch (protocol) {
	case IPPROTO_TCP:
		doff = skb_header_pointer(skb, offset + 12, sizeof(_doff), &_doff);
		return offset + (doff ? (*doff >> 4) * 4 : 0);
	case IPPROTO_UDP:
		return offset + sizeof(struct udphdr);
	case IPPROTO_SCTP:
		return offset + sizeof(struct sctphdr);
	default:
		return offset;
	}
}

void nfbpf_gso_wire_size(const struct sk_buff *skb, bool ipv6, u32 *packets, u32 *bytes)
{
	const struct skb_shared_info *shinfo = skb_shinfo(skb);
	u32 headers = repeated_headers(skb, ipv6);
	u32 segments = shinfo->gso_segs;

	/* A guest's or a tap's packet may come without the count. */
	if (!segments && skb->len > headers)
		segments = DIV_ROUND_UP(skb->len - headers, shinfo->gso_size);
	*packets = max(segments, 1U);
	*bytes = skb->len + (*packets - 1) * headers;
}

static const struct nfbpf_hook *hook_of(const struct kobject *kobj)
{
	unsigned int i;

	for (i = 0; i < NFBPF_HOOKS_MAX; i++)
		if (nfbpf_hooks[i].kobj == kobj)
			return &nfbpf_hooks[i];
	return NULL;
}

#define TOTAL_ATTR(_name)                                                                          \
	static ssize_t _name##_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)  \
	{                                                                                          \
		const struct nfbpf_hook *hook = hook_of(kobj);                                     \
		u64 sum = 0;                                                                       \
		int cpu;                                                                           \
                                                                                                   \
		if (!hook)                                                                         \
			return -ENODEV;                                                            \
		for_each_possible_cpu(cpu) sum +=                                                  \
			READ_ONCE(per_cpu(nfbpf_totals, cpu)[hook->index]._name);                  \
		return sysfs_emit(buf, "%llu\n", sum);                                             \
	}                                                                                          \
	static struct kobj_attribute total_##_name = __ATTR_RO(_name)

TOTAL_ATTR(packets);
TOTAL_ATTR(bytes);
TOTAL_ATTR(matched);
TOTAL_ATTR(run_ns);
TOTAL_ATTR(run_samples);

static ssize_t priority_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	const struct nfbpf_hook *hook = hook_of(kobj);

	return hook ? sysfs_emit(buf, "%d\n", hook->priority) : -ENODEV;
}
static struct kobj_attribute hook_priority = __ATTR_RO(priority);

static struct attribute *hook_attrs[] = {
	&total_packets.attr,
	&total_bytes.attr,
	&total_matched.attr,
	&total_run_ns.attr,
	&total_run_samples.attr,
	&hook_priority.attr,
	NULL,
};

static const struct attribute_group hook_group = {
	.attrs = hook_attrs,
};

static struct kobject *program_kobj;
static struct kobject *hooks_kobj;

/* Since when the totals count; tells a module from the one before, whose totals are gone. */
static struct timespec64 totals_since;

static ssize_t since_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%lld.%09ld\n", (s64)totals_since.tv_sec, totals_since.tv_nsec);
}
static struct kobj_attribute hooks_since = __ATTR_RO(since);

static int hook_show(struct nfbpf_hook *hook)
{
	int err;

	hook->kobj = kobject_create_and_add(hook->name, hooks_kobj);
	if (!hook->kobj)
		return -ENOMEM;
	err = sysfs_create_group(hook->kobj, &hook_group);
	if (err) {
		kobject_put(hook->kobj);
		hook->kobj = NULL;
	}
	return err;
}

static void hooks_hide(void)
{
	unsigned int i;

	for (i = 0; i < NFBPF_HOOKS_MAX; i++) {
		struct nfbpf_hook *hook = &nfbpf_hooks[i];

		if (!hook->kobj)
			continue;
		/* Readers find the hook by its kobj: they must be out before it is cleared. */
		sysfs_remove_group(hook->kobj, &hook_group);
		kobject_put(hook->kobj);
		hook->kobj = NULL;
	}
	sysfs_remove_file(hooks_kobj, &hooks_since.attr);
	kobject_put(hooks_kobj);
}

int nfbpf_stats_init(void)
{
	/*
	 * Folders of our own: the module's kobject calls show functions with a
	 * module_attribute, and ours take a kobj_attribute.
	 */
	struct kobject *module_kobj = &THIS_MODULE->mkobj.kobj;
	unsigned int i;
	int err;

	program_kobj = kobject_create_and_add("program", module_kobj);
	if (!program_kobj)
		return -ENOMEM;
	err = sysfs_create_group(program_kobj, &nfbpf_program_group);
	if (err)
		goto err_program_kobj;
	hooks_kobj = kobject_create_and_add("hooks", module_kobj);
	if (!hooks_kobj) {
		err = -ENOMEM;
		goto err_program_group;
	}
	ktime_get_boottime_ts64(&totals_since);
	err = sysfs_create_file(hooks_kobj, &hooks_since.attr);
	if (err)
		goto err_hooks;
	for (i = 0; i < NFBPF_HOOKS_MAX; i++) {
		if (!nfbpf_hooks[i].selected)
			continue;
		err = hook_show(&nfbpf_hooks[i]);
		if (err)
			goto err_hooks;
	}
	return 0;

err_hooks:
	hooks_hide();
err_program_group:
	sysfs_remove_group(program_kobj, &nfbpf_program_group);
err_program_kobj:
	kobject_put(program_kobj);
	return err;
}

void nfbpf_stats_uninit(void)
{
	hooks_hide();
	sysfs_remove_group(program_kobj, &nfbpf_program_group);
	kobject_put(program_kobj);
}
