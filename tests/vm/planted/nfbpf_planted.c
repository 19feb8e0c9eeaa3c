// SPDX-License-Identifier: GPL-2.0-only
/*
 * Does wrong on purpose, so that the VM loop can be seen to notice. Only ever
 * built for tests/vm/selftest/loop.
 */
#include <linux/bug.h>
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/slab.h>

static char *fault = "none";
module_param(fault, charp, 0444);
MODULE_PARM_DESC(fault, "none, warn, oops, hang, leak, use_after_free");

/* KASAN sees the read; without it nothing does. */
static int use_after_free(void)
{
	int *volatile freed = kmalloc(sizeof(*freed), GFP_KERNEL);

	kfree(freed);
	return freed ? READ_ONCE(*freed) & 1 : -ENOMEM;
}

/* kmemleak sees that nothing points to it any more. */
static int leak(void)
{
	return kmalloc(128, GFP_KERNEL) ? 0 : -ENOMEM;
}

static int __init planted_init(void)
{
	if (!strcmp(fault, "warn"))
		WARN(1, "planted\n");
	else if (!strcmp(fault, "oops"))
		BUG();
	else if (!strcmp(fault, "hang"))
		msleep(600 * 1000);
	else if (!strcmp(fault, "leak"))
		return leak();
	else if (!strcmp(fault, "use_after_free"))
		pr_info("read %d after free\n", use_after_free());
	return 0;
}

static void __exit planted_exit(void)
{
}

module_init(planted_init);
module_exit(planted_exit);
MODULE_DESCRIPTION("Faults for the self test of nfbpf's VM loop");
MODULE_LICENSE("GPL");
