// SPDX-License-Identifier: GPL-2.0-only
/*
 * The program slot: get a pinned program, publish it with RCU, put the old one.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bpf.h>
#include <linux/limits.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/timekeeping.h>

#include "program.h"

/*
 * Parameters can be written before init has run and after exit has: the files
 * exist from before the one until after the other. COLD only remembers the
 * path, CLOSED refuses.
 */
enum nfbpf_slot_state {
	NFBPF_SLOT_COLD,
	NFBPF_SLOT_LIVE,
	NFBPF_SLOT_CLOSED,
};

struct bpf_prog __rcu *nfbpf_program;

static DEFINE_MUTEX(slot_lock); /* all below, and writes to nfbpf_program */
static enum nfbpf_slot_state slot_state;
static char *slot_path;
static u64 slot_generation;
static struct timespec64 slot_swapped_at;
static char slot_error[160] = "none";

static const char *reason_of(long err)
{
	switch (err) {
	case -ENOENT:
		return "no such file in the writer's mount namespace";
	case -EACCES:
		return "not a pinned program";
	case -EINVAL:
		return "not a program of type socket";
	case -EPERM:
		return "not permitted";
	default:
		return "cannot be taken";
	}
}

static void slot_refuse(const char *path, long err)
{
	snprintf(slot_error, sizeof(slot_error), "%ld: %s: %.100s", err, reason_of(err), path);
	pr_err("bpf_path \"%s\": %s (error %ld)\n", path, reason_of(err), err);
}

static struct bpf_prog *program_get(const char *path)
{
	struct bpf_prog *prog = bpf_prog_get_type_path(path, BPF_PROG_TYPE_SOCKET_FILTER);

	if (IS_ERR(prog)) {
		mutex_lock(&slot_lock);
		slot_refuse(path, PTR_ERR(prog));
		mutex_unlock(&slot_lock);
	}
	return prog;
}

/* A hook may be inside the old program until a grace period has passed. */
static void program_put(struct bpf_prog *old)
{
	if (!old)
		return;
	synchronize_rcu();
	bpf_prog_put(old);
}

/* Publishes @new, which the slot owns from here on. Returns what is to be put. */
static struct bpf_prog *slot_publish(struct bpf_prog *new)
{
	struct bpf_prog *old;

	old = rcu_replace_pointer(nfbpf_program, new, lockdep_is_held(&slot_lock));
	slot_generation++;
	ktime_get_real_ts64(&slot_swapped_at);
	strscpy(slot_error, "none", sizeof(slot_error));
	return old;
}

/*
 * Takes the program before the lock, so that a path which hangs holds up no
 * reader, and puts the old one behind it: a grace period takes its time. The
 * module's parameter lock keeps writers apart.
 */
static int slot_swap(char *path)
{
	struct bpf_prog *new, *old;
	char *old_path;

	new = program_get(path);
	if (IS_ERR(new))
		return PTR_ERR(new);

	mutex_lock(&slot_lock);
	if (slot_state != NFBPF_SLOT_LIVE) {
		mutex_unlock(&slot_lock);
		bpf_prog_put(new);
		return -ENODEV;
	}
	old = slot_publish(new);
	old_path = slot_path;
	slot_path = path;
	mutex_unlock(&slot_lock);

	program_put(old);
	kfree(old_path);
	return 0;
}

/* Before init the path is only remembered. Returns whether it was. */
static bool slot_remember(char *path)
{
	char *old_path = NULL;
	bool cold;

	mutex_lock(&slot_lock);
	cold = slot_state == NFBPF_SLOT_COLD;
	if (cold) {
		old_path = slot_path;
		slot_path = path;
	}
	mutex_unlock(&slot_lock);
	kfree(old_path);
	return cold;
}

/* Called with the module's parameter lock held; that lock also covers reading. */
static int bpf_path_set(const char *val, const struct kernel_param *kp)
{
	char *path;
	int err;

	if (strlen(val) >= PATH_MAX) {
		pr_err("bpf_path: %zu bytes long, the limit is %d\n", strlen(val), PATH_MAX - 1);
		return -ENAMETOOLONG;
	}
	path = kstrdup(val, GFP_KERNEL);
	if (!path)
		return -ENOMEM;
	strim(path);

	if (slot_remember(path))
		return 0;
	err = slot_swap(path);
	if (err)
		kfree(path);
	return err;
}

static int bpf_path_get(char *buffer, const struct kernel_param *kp)
{
	int len;

	mutex_lock(&slot_lock);
	len = scnprintf(buffer, PAGE_SIZE, "%s\n", slot_path ?: "");
	mutex_unlock(&slot_lock);
	return len;
}

/* The last to go, after init failed or exit ran: the path may be set at any time before. */
static void bpf_path_free(void *arg)
{
	kfree(slot_path);
	slot_path = NULL;
}

static const struct kernel_param_ops bpf_path_ops = {
	.set = bpf_path_set,
	.get = bpf_path_get,
	.free = bpf_path_free,
};

module_param_cb(bpf_path, &bpf_path_ops, NULL, 0644);
MODULE_PARM_DESC(bpf_path, "Path of a pinned program of type socket; a write swaps it live");

int nfbpf_program_init(void)
{
	struct bpf_prog *prog = ERR_PTR(-EINVAL);

	/* A write to the parameter meanwhile would free the path under us. */
	kernel_param_lock(THIS_MODULE);
	if (slot_path && *slot_path)
		prog = program_get(slot_path);
	else
		pr_err("bpf_path is not set: pin a program of type socket and give its path\n");

	mutex_lock(&slot_lock);
	slot_state = IS_ERR(prog) ? NFBPF_SLOT_CLOSED : NFBPF_SLOT_LIVE;
	if (!IS_ERR(prog))
		slot_publish(prog);
	mutex_unlock(&slot_lock);
	kernel_param_unlock(THIS_MODULE);
	return PTR_ERR_OR_ZERO(prog);
}

void nfbpf_program_uninit(void)
{
	struct bpf_prog *old;

	mutex_lock(&slot_lock);
	slot_state = NFBPF_SLOT_CLOSED;
	old = rcu_replace_pointer(nfbpf_program, NULL, lockdep_is_held(&slot_lock));
	mutex_unlock(&slot_lock);
	bpf_prog_put(old);
}

/*
 * Each show function prints one value of the running program. The slot cannot
 * be empty: the files go before the program does.
 */
#define SLOT_ATTR(_name, _fmt, ...)                                                                \
	static ssize_t _name##_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)  \
	{                                                                                          \
		const struct bpf_prog *prog;                                                       \
		ssize_t len;                                                                       \
                                                                                                   \
		mutex_lock(&slot_lock);                                                            \
		prog = rcu_dereference_protected(nfbpf_program, lockdep_is_held(&slot_lock));      \
		len = prog ? sysfs_emit(buf, _fmt "\n", __VA_ARGS__) : -ENODEV;                    \
		mutex_unlock(&slot_lock);                                                          \
		return len;                                                                        \
	}                                                                                          \
	static struct kobj_attribute attr_##_name = __ATTR_RO(_name)

SLOT_ATTR(id, "%u", prog->aux->id);
SLOT_ATTR(name, "%s", prog->aux->name);
SLOT_ATTR(tag, "%*phN", (int)sizeof(prog->tag), prog->tag);
SLOT_ATTR(generation, "%llu", slot_generation);
SLOT_ATTR(swapped_at, "%lld.%09ld", slot_swapped_at.tv_sec, slot_swapped_at.tv_nsec);
SLOT_ATTR(last_error, "%s", slot_error);

static struct attribute *slot_attrs[] = {
	&attr_id.attr,	       &attr_name.attr,	      &attr_tag.attr, &attr_generation.attr,
	&attr_swapped_at.attr, &attr_last_error.attr, NULL,
};

const struct attribute_group nfbpf_program_group = {
	.attrs = slot_attrs,
};
