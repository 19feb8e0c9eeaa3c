/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Both families' addresses in one key, and the header behind IP. Include an entry first. */
#ifndef NFBPF_ADDRESS_H
#define NFBPF_ADDRESS_H

#include "transport.h"

/* Which of them it holds is told by a member "enum nfbpf_family" of the same key. */
union address {
	nfbpf_ipv4_t v4;
	nfbpf_ipv6_t v6;
};

/* struct addresses - of a packet; bytes that its family does not use are zero */
struct addresses {
	union address source;
	union address destination;
};

/* false: the header is cut off, or it is no IP. */
static __always_inline bool load_addresses(const struct packet *p, struct addresses *a)
{
	__builtin_memset(a, 0, sizeof(*a));
	if (p->family == NFBPF_FAMILY_IPV4)
		return !load(p->access, IPV4_SOURCE_OFFSET, &a->source.v4, 4) &&
		       !load(p->access, IPV4_DESTINATION_OFFSET, &a->destination.v4, 4);
	if (p->family == NFBPF_FAMILY_IPV6)
		return !load(p->access, IPV6_SOURCE_OFFSET, &a->source.v6, 16) &&
		       !load(p->access, IPV6_DESTINATION_OFFSET, &a->destination.v6, 16);
	return false;
}

/* offset is 0 where there is no such header, see transport.h. */
static __always_inline struct transport transport_of(const struct packet *p)
{
	struct transport none = {};
	__u8 protocol = 0;

	if (p->family == NFBPF_FAMILY_IPV4 && !load(p->access, IPV4_PROTOCOL_OFFSET, &protocol, 1))
		return transport_of_ipv4(p->access, protocol);
	if (p->family == NFBPF_FAMILY_IPV6 &&
	    !load(p->access, IPV6_NEXT_HEADER_OFFSET, &protocol, 1))
		return transport_of_ipv6(p->access, protocol);
	return none;
}

#endif /* NFBPF_ADDRESS_H */
