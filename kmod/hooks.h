/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NFBPF_HOOKS_H
#define NFBPF_HOOKS_H

#include <linux/kobject.h>
#include <linux/types.h>

#include "nfbpf.h"

struct nfbpf_totals;

/**
 * struct nfbpf_hook - one place where packets are met
 * @index: its row in nfbpf_totals
 * @direction: what the program is told in the first context word
 * @family: and in the second
 * @words: both as context words, from nfbpf_hooks_init() on
 * @selected: whether the parameters ask for it
 * @priority: among the functions of the same netfilter hook
 * @name: its folder in sysfs
 * @kobj: that folder, NULL while there is none
 * @totals: its row, from nfbpf_hooks_init() on
 */
struct nfbpf_hook {
	u8 index;
	u8 direction;
	u8 family;
	bool selected;
	u32 words[2];
	int priority;
	const char *name;
	struct kobject *kobj;
	struct nfbpf_totals __percpu *totals;
};

extern struct nfbpf_hook nfbpf_hooks[];

/**
 * nfbpf_hooks_parse() - read the parameters hooks, families, priority, netns
 *
 * Return: 0, -ENOMEM, or -EINVAL after a line in the log that names the word.
 */
int nfbpf_hooks_parse(void);

/**
 * nfbpf_hooks_init() - register the selected hooks in every network namespace
 *
 * Packets are met from here on. The program slot must be filled.
 *
 * Return: 0 or -errno of the registration; no hook is left then.
 */
int nfbpf_hooks_init(void);

/** nfbpf_hooks_uninit() - unregister, and wait until no packet is in a hook */
void nfbpf_hooks_uninit(void);

#endif /* NFBPF_HOOKS_H */
