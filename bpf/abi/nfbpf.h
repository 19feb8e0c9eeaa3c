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
#define NFBPF_ABI_MINOR 2

/* Where things are pinned, below the bpffs directory chosen by the loader. */
#define NFBPF_PIN_DIR_DEFAULT "/sys/fs/bpf/nfbpf"
#define NFBPF_PIN_PROGRAM "program"
#define NFBPF_PIN_PREVIOUS "program_previous" /* kept for a rollback */
#define NFBPF_PIN_MAPS "maps"
#define NFBPF_PIN_LINKS "links"
#define NFBPF_PIN_SERIES "series" /* what the exporter's series stand at: an array to be mapped */
#define NFBPF_PIN_FENCE "fence"	  /* a map of maps: an update of it waits for packets under way */
#define NFBPF_PIN_FENCE_POST "fence_post" /* what stands in it */

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
typedef __u32 nfbpf_ifindex_t; /* shown as its number */
typedef __u32 nfbpf_ifname_t;  /* an interface's number, shown as its name */
typedef __u32 nfbpf_netns_t;   /* inode number, as `stat -L -c %i /run/netns/NAME` has it */
typedef struct {
	__u8 byte[6];
} nfbpf_mac_t;
typedef __u16 nfbpf_reserved16_t; /* never shown, always zero */
typedef __u8 nfbpf_reserved8_t;

/*
 * Flags are a typedef of an enum, of a name that begins with nfbpf_flags_. The
 * enumerators whose bits are set are joined with '|':
 *
 *	enum tcp_bit { TCP_BIT_SYN = 2, TCP_BIT_ACK = 16 } __attribute__((packed));
 *	typedef enum tcp_bit nfbpf_flags_tcp_t;
 *
 * Text is char[N], up to the first NUL. A union of one nfbpf_ipv4_t and one
 * nfbpf_ipv6_t is one label; which of them it holds is told by a member of the
 * same struct, else of the same key: of type enum nfbpf_family, or an integer
 * named family that is AF_INET or AF_INET6.
 */

/* Typedefs of values. A __u64 or __u32 without one is a counter, a signed integer is a gauge. */
typedef __u64 nfbpf_gauge_t; /* can fall */
typedef __u64 nfbpf_ns_t;    /* nanoseconds, shown as seconds; so is a member NAME_ns */

/*
 * An array of __u64 is a histogram: slot i counts the values above bound i - 1
 * and not above bound i, the last slot all that are above the last bound. A
 * member NAME_sum, __u64, is what those values add up to; it must be there.
 * Bounds are integers, and either
 *   - powers of two, when the elements are nfbpf_log2_slot_t: slot i counts the
 *     values whose highest bit is bit i, from 2^i to 2^(i + 1) - 1 (slot 0: 0
 *     and 1), or
 *   - the enumerators of a member "enum ... NAME_bounds[0]", ascending, one
 *     fewer than there are slots; it takes no room in the value.
 * Both count nanoseconds when NAME ends in _ns or NAME_sum is a nfbpf_ns_t.
 */
typedef __u64 nfbpf_log2_slot_t;

/*
 * Where a typedef cannot be had, __attribute__((btf_decl_tag("nfbpf:KIND"))) on
 * a member says the same as nfbpf_KIND_t: ipv4, ipv6, mac, port, protocol,
 * ifindex, ifname, flags, reserved, gauge, ns, log2_slot, and string for bytes
 * that are no char. Kernels before 5.16 drop tags and keep typedefs.
 */

/*
 * A map whose value is a struct of a name that ends so is the program's own
 * memory (requests that wait for their answer) and no metric.
 */
#define NFBPF_STATE_SUFFIX "_state"

/*
 * Two buffers of one table: maps NAME and NAME_b of the same key and value. The
 * program counts into the one that the word below names, so that a reader can
 * have the other one to itself: it changes the word, waits until every packet
 * that saw the old one is done (an RCU grace period), and may then take the
 * rows out without losing a count. The word is a variable in a section of its
 * own, which becomes a map of that name:
 *
 *	struct nfbpf_epoch_state nfbpf_epoch SEC(NFBPF_EPOCH_SECTION);
 */
#define NFBPF_EPOCH_SECTION ".data.nfbpf_epoch"
#define NFBPF_PIN_EPOCH "nfbpf_epoch"
#define NFBPF_BUFFER_SUFFIX "_b"

struct nfbpf_epoch_state {
	__u32 active;	    /* the buffer that is counted into: 0 is NAME, 1 is NAME_b */
	__u32 reserved[15]; /* every packet reads the word above: its cache line is never written to
			     */
	__u64 made[2]; /* rows that the program made in either, to be set to 0 by who empties it */
};

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

/* What a TCP segment does to its connection; the first that holds. */
enum nfbpf_tcp_class {
	NFBPF_TCP_CLASS_NONE = 0, /* no TCP, a later fragment, or the header is cut off */
	NFBPF_TCP_CLASS_RST = 1,
	NFBPF_TCP_CLASS_SYN = 2,
	NFBPF_TCP_CLASS_SYN_ACK = 3,
	NFBPF_TCP_CLASS_FIN = 4,
	NFBPF_TCP_CLASS_DATA = 5, /* all else */
} __attribute__((packed));

/*
 * The keys of traffic_flow.bpf.o: everything that the built-in program can tell
 * apart. Parts that were not chosen at load are 0 in every row, and the loader
 * tells readers to leave their labels out. Ports are 0 where a packet has none.
 */
#define NFBPF_FLOW_MEMBERS                                                                         \
	nfbpf_port_t source_port;                                                                  \
	nfbpf_port_t destination_port;                                                             \
	nfbpf_port_t service_port; /* the lower of the two */                                      \
	__u8 icmp_type;		   /* of ICMP in IPv4 and ICMPv6 in IPv6 */                        \
	__u8 icmp_code;                                                                            \
	nfbpf_ifindex_t in_interface; /* 0: none at this hook */                                   \
	nfbpf_ifindex_t out_interface;                                                             \
	nfbpf_netns_t netns;

struct nfbpf_flow_members {
	NFBPF_FLOW_MEMBERS
};

struct nfbpf_ipv4_flow_key {
	enum nfbpf_direction direction;
	nfbpf_protocol_t protocol;
	enum nfbpf_tcp_class tcp_class;
	nfbpf_reserved8_t reserved;
	nfbpf_ipv4_t source;
	nfbpf_ipv4_t destination;
	NFBPF_FLOW_MEMBERS
};

struct nfbpf_ipv6_flow_key {
	enum nfbpf_direction direction;
	nfbpf_protocol_t protocol;
	enum nfbpf_tcp_class tcp_class;
	nfbpf_reserved8_t reserved;
	nfbpf_ipv6_t source;
	nfbpf_ipv6_t destination;
	NFBPF_FLOW_MEMBERS
};

/* Parts of a key beside its addresses; bits of the program's constant `key_parts`. */
enum nfbpf_key_part {
	NFBPF_KEY_PART_DIRECTION = 1,
	NFBPF_KEY_PART_PROTOCOL = 2,
	NFBPF_KEY_PART_PORTS = 4,
	NFBPF_KEY_PART_SERVICE = 8,
	NFBPF_KEY_PART_ICMP = 16,
	NFBPF_KEY_PART_TCP_CLASS = 32,
	NFBPF_KEY_PART_INTERFACES = 64,
	NFBPF_KEY_PART_NETNS = 128,
};

/*
 * Filters: the maps nfbpf_filter_*, present where the program was loaded with
 * `filters`. An address is judged by the longest prefix that holds it; of the
 * two addresses of a packet, and of its two ports, a deny wins over an allow.
 * What no rule names gets the policy of its kind. Everything must pass.
 */
enum nfbpf_verdict {
	NFBPF_VERDICT_NONE = 0, /* no rule: the policy decides */
	NFBPF_VERDICT_ALLOW = 1,
	NFBPF_VERDICT_DENY = 2,
};

struct nfbpf_filter_ipv4_key {
	__u32 prefix_length; /* bits */
	nfbpf_ipv4_t address;
};

struct nfbpf_filter_ipv6_key {
	__u32 prefix_length; /* bits */
	nfbpf_ipv6_t address;
};

/* The one row of nfbpf_filter_policy: enum nfbpf_verdict for what no rule names. */
struct nfbpf_filter_policy {
	__u32 ipv4;
	__u32 ipv6;
	__u32 protocol;
	__u32 port;
};

/* Rows that the filter maps can hold. */
#define NFBPF_FILTER_PREFIXES 65536
#define NFBPF_FILTER_PORTS 4096
#define NFBPF_FILTER_PREFIX "nfbpf_filter_" /* maps of that name are no metrics */

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
	NFBPF_FILTERED_REASON_RULE = 2,	     /* see the filters above */
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
#define NFBPF_FILTERED_ROWS 54

#if defined(__CHECKER__) /* sparse takes a packed enum for an int */
#define NFBPF_ASSERT(cond)
#elif defined(__cplusplus)
#define NFBPF_ASSERT(cond) static_assert(cond, #cond)
#else
#define NFBPF_ASSERT(cond) _Static_assert(cond, #cond)
#endif
NFBPF_ASSERT(sizeof(enum nfbpf_direction) == 1);
NFBPF_ASSERT(sizeof(enum nfbpf_family) == 1);
NFBPF_ASSERT(sizeof(struct nfbpf_ipv4_key) == 12);
NFBPF_ASSERT(sizeof(struct nfbpf_ipv6_key) == 36);
NFBPF_ASSERT(sizeof(struct nfbpf_flow_members) == 20);
NFBPF_ASSERT(sizeof(struct nfbpf_ipv4_flow_key) == 32);
NFBPF_ASSERT(sizeof(struct nfbpf_ipv6_flow_key) == 56);
NFBPF_ASSERT(sizeof(struct nfbpf_filter_ipv4_key) == 8);
NFBPF_ASSERT(sizeof(struct nfbpf_filter_ipv6_key) == 20);
NFBPF_ASSERT(sizeof(struct nfbpf_filter_policy) == 16);
NFBPF_ASSERT(sizeof(struct nfbpf_epoch_state) == 80);
NFBPF_ASSERT(sizeof(struct nfbpf_source_destination) == 16);
NFBPF_ASSERT(sizeof(struct nfbpf_overflow_key) == 4);
NFBPF_ASSERT(sizeof(struct nfbpf_overflow) == 16);
NFBPF_ASSERT(sizeof(struct nfbpf_filtered_key) == 4);
NFBPF_ASSERT(sizeof(struct nfbpf_filtered) == 16);
#undef NFBPF_ASSERT

#endif /* NFBPF_ABI_H */
