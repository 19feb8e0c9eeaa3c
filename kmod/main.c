// SPDX-License-Identifier: GPL-2.0-only
/*
 * nfbpf - run a pinned eBPF program on every packet that meets a netfilter hook
 *
 * The module observes: it runs the program, keeps totals of its own as the
 * yardstick for what the program counted, and accepts every packet.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/stringify.h>

#include "hooks.h"
#include "nfbpf.h"
#include "program.h"
#include "stats.h"

static int __init nfbpf_init(void)
{
	int err;

	/* There one section with BH off may preempt another, and plain adds lose counts. */
	if (IS_ENABLED(CONFIG_PREEMPT_RT)) {
		pr_err("a PREEMPT_RT kernel needs the in-tree netfilter link instead\n");
		return -EOPNOTSUPP;
	}

	err = nfbpf_hooks_parse();
	if (err)
		return err;

	err = nfbpf_program_init();
	if (err)
		return err;

	err = nfbpf_stats_init();
	if (err)
		goto err_program;

	err = nfbpf_hooks_init();
	if (err)
		goto err_stats;

	return 0;

err_stats:
	nfbpf_stats_uninit();
err_program:
	nfbpf_program_uninit();
	return err;
}

static void __exit nfbpf_exit(void)
{
	nfbpf_hooks_uninit();
	nfbpf_stats_uninit();
	nfbpf_program_uninit();
}

module_init(nfbpf_init);
module_exit(nfbpf_exit);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("nfbpf_exporter authors");
MODULE_DESCRIPTION("Runs a pinned eBPF program from netfilter hooks, for accounting");
/* The ABI, shown in /sys/module/nfbpf/version. */
MODULE_VERSION(__stringify(NFBPF_ABI_MAJOR) "." __stringify(NFBPF_ABI_MINOR));
