/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What a packet says behind its IP header: ports, ICMP type, TCP flags. Include an entry first. */
#ifndef NFBPF_TRANSPORT_H
#define NFBPF_TRANSPORT_H

#define PROTOCOL_ICMP 1
#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17
#define PROTOCOL_DCCP 33
#define PROTOCOL_ICMPV6 58
#define PROTOCOL_SCTP 132
#define PROTOCOL_UDPLITE 136

#define TCP_FLAGS_OFFSET 13
#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

/* struct transport - where the header behind IP begins, and what it is */
struct transport {
	__u32 offset; /* 0: it is not in this packet */
	__u32 protocol;
};

/* A later fragment, and a header that is longer than the packet, have none. */
static __always_inline struct transport transport_of_ipv4(access_t access, __u32 protocol)
{
	struct transport t = {.protocol = protocol};
	__u8 first = 0, fragment[2] = {};

	if (load(access, 0, &first, 1) || load(access, IPV4_FRAGMENT_OFFSET, fragment, 2))
		return t;
	if (!(fragment[0] & 0x1f) && !fragment[1] && (first & 0xf) >= 5)
		t.offset = (first & 0xf) * 4;
	return t;
}

static __always_inline struct transport transport_of_ipv6(access_t access, __u32 next_header)
{
	struct transport t = {.offset = IPV6_HEADER_LENGTH, .protocol = next_header};

	if (is_ipv6_extension(next_header)) {
		__u32 upper = skip_ipv6_extensions(access, next_header);

		t.offset = upper >> 8;
		t.protocol = upper & 0xff;
	}
	return t;
}

static __always_inline bool has_ports(__u32 protocol)
{
	return protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP || protocol == PROTOCOL_SCTP ||
	       protocol == PROTOCOL_DCCP || protocol == PROTOCOL_UDPLITE;
}

/* struct ports - as they stand in the packet; both 0 where it has none */
struct ports {
	__u16 source;	   /* big-endian */
	__u16 destination; /* big-endian */
};

static __always_inline bool read_ports(access_t access, const struct transport *t,
				       struct ports *ports)
{
	return t->offset && has_ports(t->protocol) &&
	       !load(access, t->offset, ports, sizeof(*ports));
}

static __always_inline struct ports ports_of(access_t access, const struct transport *t)
{
	struct ports ports = {};

	if (!read_ports(access, t, &ports))
		ports = (struct ports){};
	return ports;
}

/* The side that a service listens on has the lower port, as good as always. */
static __always_inline __u16 service_port(struct ports ports)
{
	return bpf_ntohs(ports.source) < bpf_ntohs(ports.destination) ? ports.source
								      : ports.destination;
}

static __always_inline enum nfbpf_tcp_class tcp_class_of(access_t access, const struct transport *t)
{
	__u8 flags = 0;

	if (!t->offset || t->protocol != PROTOCOL_TCP ||
	    load(access, t->offset + TCP_FLAGS_OFFSET, &flags, 1))
		return NFBPF_TCP_CLASS_NONE;
	if (flags & TCP_RST)
		return NFBPF_TCP_CLASS_RST;
	if (flags & TCP_SYN)
		return flags & TCP_ACK ? NFBPF_TCP_CLASS_SYN_ACK : NFBPF_TCP_CLASS_SYN;
	return flags & TCP_FIN ? NFBPF_TCP_CLASS_FIN : NFBPF_TCP_CLASS_DATA;
}

#endif /* NFBPF_TRANSPORT_H */
