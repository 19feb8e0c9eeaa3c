/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The one contract between the module, the BPF programs and user space.
 * Everything here is read by C (kernel, BPF) and by C++; nothing here may
 * depend on a kernel version.
 *
 * How a member of a map's key or value is shown is told by the name of its
 * typedef, because typedefs survive in BTF on every kernel since 5.10.
 */
#ifndef NFBPF_ABI_H
#define NFBPF_ABI_H

#include <linux/types.h>

/* A major step breaks readers; a minor one adds. Shown by the module in sysfs. */
#define NFBPF_ABI_MAJOR 1
#define NFBPF_ABI_MINOR 0

/* Where things are pinned, below the bpffs directory chosen by the loader. */
#define NFBPF_PIN_DIR_DEFAULT "/sys/fs/bpf/nfbpf"
#define NFBPF_PIN_PROGRAM "program"
#define NFBPF_PIN_PREVIOUS "program_previous" /* kept for a rollback */
#define NFBPF_PIN_MAPS "maps"
#define NFBPF_PIN_LINKS "links"

/* Regular files for the unprivileged reader: BTF of the maps and a manifest. */
#define NFBPF_RUN_DIR_DEFAULT "/run/nfbpf"

/*
 * Where a packet was met. The numbers are the netfilter hook's plus one
 * (uapi/linux/netfilter.h), so that zero can say "no context": xt_bpf and
 * BPF_PROG_TEST_RUN leave the words at zero. One byte wide, to fit keys.
 */
enum nfbpf_direction {
	NFBPF_DIRECTION_UNKNOWN = 0,
	NFBPF_DIRECTION_PREROUTING = 1,
	NFBPF_DIRECTION_IN = 2,
	NFBPF_DIRECTION_FORWARD = 3,
	NFBPF_DIRECTION_OUT = 4,
	NFBPF_DIRECTION_POSTROUTING = 5,
} __attribute__((packed));

enum nfbpf_family {
	NFBPF_FAMILY_UNKNOWN = 0,
	NFBPF_FAMILY_IPV4 = 1,
	NFBPF_FAMILY_IPV6 = 2,
} __attribute__((packed));

/*
 * Context words: what the module puts into __sk_buff.cb[] before it runs the
 * program. They are the program's to read; the module restores what was there.
 */
enum nfbpf_context_word {
	NFBPF_CB_DIRECTION = 0,	  /* enum nfbpf_direction */
	NFBPF_CB_FAMILY = 1,	  /* enum nfbpf_family */
	NFBPF_CB_IN_IFINDEX = 2,  /* 0 where the hook has no input interface */
	NFBPF_CB_OUT_IFINDEX = 3, /* 0 where the hook has no output interface */
	NFBPF_CB_NETNS = 4,	  /* inode number of the network namespace */
};

/* Typedefs that say how a member is shown. Network byte order where marked. */
typedef __u32 nfbpf_ipv4_t; /* big-endian */
typedef struct {
	__u8 byte[16];
} nfbpf_ipv6_t;
typedef __u8 nfbpf_protocol_t; /* IANA protocol number */
typedef __u16 nfbpf_port_t;    /* big-endian */
typedef __u32 nfbpf_ifindex_t;
typedef __u16 nfbpf_reserved16_t; /* never shown, always zero */
typedef __u8 nfbpf_reserved8_t;

/*
 * Keys have no hidden padding: the hash covers every byte. The members stand
 * in the order in which they stand in the packet's header, so that one copy
 * out of the packet makes the key.
 */
struct nfbpf_ipv4_key {
	enum nfbpf_direction direction; /* over the TTL */
	nfbpf_protocol_t protocol;
	nfbpf_reserved16_t reserved; /* over the checksum */
	nfbpf_ipv4_t source;
	nfbpf_ipv4_t destination;
};

struct nfbpf_ipv6_key {
	nfbpf_reserved16_t reserved;	/* over the payload length */
	nfbpf_protocol_t protocol;	/* past the extension headers */
	enum nfbpf_direction direction; /* over the hop limit */
	nfbpf_ipv6_t source;
	nfbpf_ipv6_t destination;
};

/*
 * Counted values. The struct's name names the metric family:
 * nfbpf_source_destination_packets_total and so on.
 * packets: as on the wire, so a GSO packet counts once per segment.
 * bytes: of the IP packets, headers included, those that GSO will repeat too.
 */
struct nfbpf_source_destination {
	__u64 packets;
	__u64 bytes;
};

/* Why a packet found no row of its own. */
enum nfbpf_overflow_reason {
	NFBPF_OVERFLOW_REASON_FULL = 0,	  /* -E2BIG: no free element */
	NFBPF_OVERFLOW_REASON_BUSY = 1,	  /* a bucket's lock could not be had */
	NFBPF_OVERFLOW_REASON_MEMORY = 2, /* -ENOMEM */
	NFBPF_OVERFLOW_REASON_OTHER = 3,
} __attribute__((packed));

struct nfbpf_overflow_key {
	enum nfbpf_direction direction;
	enum nfbpf_family family;
	enum nfbpf_overflow_reason reason;
	nfbpf_reserved8_t reserved;
};

struct nfbpf_overflow {
	__u64 packets;
	__u64 bytes;
};

/* Why a packet was left out on purpose. */
enum nfbpf_filtered_reason {
	NFBPF_FILTERED_REASON_LOOPBACK = 0,
	NFBPF_FILTERED_REASON_MALFORMED = 1, /* no whole IP header */
} __attribute__((packed));

struct nfbpf_filtered_key {
	enum nfbpf_direction direction;
	enum nfbpf_family family;
	enum nfbpf_filtered_reason reason;
	nfbpf_reserved8_t reserved;
};

struct nfbpf_filtered {
	__u64 packets;
	__u64 bytes;
};

/* Rows that the two small maps can ever hold: directions x families x reasons. */
#define NFBPF_OVERFLOW_ROWS 72
#define NFBPF_FILTERED_ROWS 36

#ifdef __cplusplus
#define NFBPF_ASSERT(cond) static_assert(cond, #cond)
#else
#define NFBPF_ASSERT(cond) _Static_assert(cond, #cond)
#endif
NFBPF_ASSERT(sizeof(enum nfbpf_direction) == 1);
NFBPF_ASSERT(sizeof(enum nfbpf_family) == 1);
NFBPF_ASSERT(sizeof(struct nfbpf_ipv4_key) == 12);
NFBPF_ASSERT(sizeof(struct nfbpf_ipv6_key) == 36);
NFBPF_ASSERT(sizeof(struct nfbpf_source_destination) == 16);
NFBPF_ASSERT(sizeof(struct nfbpf_overflow_key) == 4);
NFBPF_ASSERT(sizeof(struct nfbpf_overflow) == 16);
NFBPF_ASSERT(sizeof(struct nfbpf_filtered_key) == 4);
NFBPF_ASSERT(sizeof(struct nfbpf_filtered) == 16);
#undef NFBPF_ASSERT

#endif /* NFBPF_ABI_H */
