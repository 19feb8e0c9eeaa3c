/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NFBPF_PROGRAM_H
#define NFBPF_PROGRAM_H

#include <linux/filter.h>
#include <linux/rcupdate.h>
#include <linux/sysfs.h>

/* The one program slot. Never NULL while a hook is registered. */
extern struct bpf_prog __rcu *nfbpf_program;

/* sysfs: /sys/module/nfbpf/program/{id,name,tag,generation,swapped_at,last_error} */
extern const struct attribute_group nfbpf_program_group;

/**
 * nfbpf_program_init() - take the program that the parameter bpf_path names
 *
 * From here on a write to the parameter swaps the program. Process context.
 *
 * Return: 0, or -EINVAL without a path, or what bpf_prog_get_type_path() gave:
 * -ENOENT for no such file, -EACCES for a file that is no pinned program,
 * -EINVAL for a program of another type or a pinned map.
 */
int nfbpf_program_init(void);

/**
 * nfbpf_program_uninit() - close the slot and put the program
 *
 * No hook may be registered any more, and none may still be running.
 */
void nfbpf_program_uninit(void);

#ifdef NFBPF_HAVE_BPF_PROG_RUN
#define nfbpf_prog_run(prog, skb) bpf_prog_run(prog, skb)
#else /* before 5.15 */
#define nfbpf_prog_run(prog, skb) BPF_PROG_RUN(prog, skb)
#endif

#endif /* NFBPF_PROGRAM_H */
