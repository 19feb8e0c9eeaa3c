/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What a program asks of a packet, whichever entry it came by. The entry gives
 * `access_t` and `load()` before it includes this: packet_skb.h for
 * SEC("socket"), packet_netfilter.h for SEC("netfilter").
 *
 * Offsets count from the network header, which is where the data begins in a
 * netfilter hook and in a test run of a socket program.
 */
#ifndef NFBPF_PACKET_H
#define NFBPF_PACKET_H

#define IPV4_FRAGMENT_OFFSET 6
#define IPV4_TTL_OFFSET 8
#define IPV4_PROTOCOL_OFFSET 9
#define IPV4_SOURCE_OFFSET 12
#define IPV4_DESTINATION_OFFSET 16
#define IPV6_PAYLOAD_LENGTH_OFFSET 4
#define IPV6_NEXT_HEADER_OFFSET 6
#define IPV6_SOURCE_OFFSET 8
#define IPV6_DESTINATION_OFFSET 24
#define IPV6_HEADER_LENGTH 40

/* struct packet - where it was met and what it weighs on the wire */
struct packet {
	access_t access;
	__u32 direction; /* enum nfbpf_direction */
	__u32 family;	 /* enum nfbpf_family */
	__u32 in_ifindex;
	__u32 out_ifindex;
	__u32 netns;   /* inode number; 0: unknown */
	__u64 packets; /* segments of a GSO packet, else 1 */
	__u64 bytes;   /* of IP packets, repeated headers included */
};

/* The extension headers that net/ipv6/exthdrs_core.c skips; 59 (none) ends a chain as well. */
static __always_inline bool is_ipv6_extension(__u8 protocol)
{
	const __u64 set = 1ULL << 0 | 1ULL << 43 | 1ULL << 44 | 1ULL << 51 | 1ULL << 60;

	return protocol < 64 && (set >> protocol & 1);
}

#define IPV6_EXTENSIONS_MAX 8 /* more than a stack is bound to take; RFC 8504 5.3 */

/*
 * Walks the chain of extension headers. Returns offset << 8 | protocol of what
 * comes behind it. A chain that is cut off, too long, or goes on in another
 * fragment ends at the last protocol that could be read; offset 0 says that
 * its header is not in this packet.
 */
static __noinline __u32 skip_ipv6_extensions(access_t access, __u32 protocol)
{
	__u32 offset = IPV6_HEADER_LENGTH;
	__u8 header[4];

	for (int i = 0; i < IPV6_EXTENSIONS_MAX && is_ipv6_extension(protocol); i++) {
		bool fragment = protocol == 44;
		bool authentication = protocol == 51;

		if (load(access, offset, header, sizeof(header)))
			return protocol;
		protocol = header[0];
		/* A later fragment carries no header of what it is a part of. */
		if (fragment && (header[2] || header[3] & 0xf8))
			return protocol;
		offset += fragment ? 8 : authentication ? (header[1] + 2) * 4 : (header[1] + 1) * 8;
	}
	return offset << 8 | protocol;
}

/* Bytes of the headers that each segment of a GSO packet repeats: IP, and TCP or UDP. */
static __always_inline __u32 repeated_headers(access_t access, __u32 family)
{
	__u32 offset = 0;
	__u8 protocol = 0, byte = 0;

	if (family == NFBPF_FAMILY_IPV6) {
		__u32 upper;

		if (load(access, IPV6_NEXT_HEADER_OFFSET, &protocol, 1))
			return IPV6_HEADER_LENGTH;
		upper = skip_ipv6_extensions(access, protocol);
		offset = upper >> 8;
		if (!offset)
			return IPV6_HEADER_LENGTH;
		protocol = upper & 0xff;
	} else {
		if (load(access, 0, &byte, 1) || load(access, IPV4_PROTOCOL_OFFSET, &protocol, 1))
			return 20;
		offset = (byte & 0xf) * 4;
	}
	if (protocol == 17)
		return offset + 8;
	if (protocol == 132) /* SCTP's common header */
		return offset + 12;
	if (protocol == 6 && !load(access, offset + 12, &byte, 1))
		return offset + (byte >> 4) * 4;
	return offset;
}

/* Returns packets << 32 | bytes of a GSO packet. kmod/stats.c has the same definition. */
static __noinline __u64 gso_wire_size(access_t access, __u32 family, __u32 length, __u32 segments,
				      __u32 gso_size)
{
	__u32 headers = repeated_headers(access, family);

	/* A guest's or a tap's packet may come without the count. */
	if (!segments && gso_size && length > headers)
		segments = (length - headers + gso_size - 1) / gso_size;
	if (!segments)
		segments = 1;
	return (__u64)segments << 32 | (length + (segments - 1) * headers);
}

#endif /* NFBPF_PACKET_H */
